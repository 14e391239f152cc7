"""Fixtures of every room."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from command import SHARED
from hypothesis import HealthCheck, settings

from edgedistil.quiet import quieten

quieten()
# Sums of several threads differ in their last bit from run to run, and tests run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A busy machine is slow, not wrong. The examples are the same every time, so that a change is blamed for what it broke
# alone; HYPOTHESIS_PROFILE=search looks for others.
settings.register_profile("project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", settings.get_profile("project"), derandomize=False, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "project"))


@pytest.fixture(scope="module", autouse=True)
def any_arithmetic() -> None:
    """Forgets what the file before trained in: accelerate keeps one arithmetic a process."""
    if state := sys.modules.get("accelerate.state"):
        state.AcceleratorState._reset_state(True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Returns the folder of real weights and data, or skips."""
    if not SHARED.is_dir():
        pytest.skip(f"the real weights and data are not beside the project ({SHARED.name}/ is absent)")
    return SHARED
