"""Fixtures of every room."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import SHARED
from hypothesis import HealthCheck, settings

from edgedistil.quiet import quieten

quieten()
# A busy machine is slow, not wrong.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Returns the folder of real weights and data, or skips."""
    if not SHARED.is_dir():
        pytest.skip(f"the real weights and data are not beside the project ({SHARED.name}/ is absent)")
    return SHARED
