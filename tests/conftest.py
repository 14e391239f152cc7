"""Fixtures of every room: a tiny workspace, and the command line as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from edgedistil.quiet import quieten

quieten()
# A busy machine is slow, not wrong.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

Typed = Callable[..., subprocess.CompletedProcess]


def typed(arguments: Sequence[str], folder: Path, **options: object) -> subprocess.CompletedProcess:
    """Runs `edgedistil ARGUMENTS` in a folder, as a user would in a pipe."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EDGEDISTIL")}
    return subprocess.run(
        [sys.executable, "-m", "edgedistil", *arguments],
        cwd=folder, capture_output=True, text=True, check=False, env=environment, **options,
    )


@pytest.fixture(scope="session")
def type_command() -> Typed:
    """Returns `typed`."""
    return typed


@pytest.fixture(scope="session")
def shared() -> Path:
    """Returns the folder of real weights and data, or skips."""
    if not SHARED.is_dir():
        pytest.skip(f"the real weights and data are not beside the project ({SHARED.name}/ is absent)")
    return SHARED
