from __future__ import annotations

from pathlib import Path

import pytest
import tiny


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a tokeniser and a BERT of 2 layers."""
    return tiny.write_teacher(tmp_path_factory.mktemp("teacher"))
