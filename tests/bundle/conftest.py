"""A bundle that each test may spoil."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_bundle

from edgedistil.bundle import Bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A whole, tiny bundle, freshly written."""
    return tiny_bundle.make_bundle(tmp_path)
