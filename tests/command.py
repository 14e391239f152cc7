"""The command line as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def typed(arguments: Sequence[str], folder: Path, **options: object) -> subprocess.CompletedProcess:
    """Runs `edgedistil ARGUMENTS` in a folder, in a pipe."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EDGEDISTIL")}
    command = [sys.executable, "-m", "edgedistil", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment, **options)
