"""One whole run of the tiny recipe, as a user types it, that every test here looks at."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import typed
from filelock import FileLock
from tiny import write_workspace


@dataclass(frozen=True)
class TinyRun:
    """A finished run.

    Attributes:
        root: The workspace.
        outcome: What `edgedistil run --json` printed.
    """

    root: Path
    outcome: dict[str, Any]

    @property
    def bundle(self) -> Path:
        return self.root / "runs" / "tiny" / "bundle"


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> TinyRun:
    """One run for all test processes: the first makes it, the others wait; each looks at a copy of its own."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    root, outcome = shared / "tiny-run", shared / "tiny-run.json"
    with FileLock(shared / "tiny-run.lock"):
        if not outcome.is_file():
            write_workspace(root)
            done = typed(["run", "export/tiny.yaml", "--json"], root)
            assert done.returncode == 0, done.stderr
            outcome.write_text(done.stdout, encoding="utf-8")
    own = tmp_path_factory.mktemp("e2e") / "workspace"
    shutil.copytree(root, own)
    return TinyRun(own, json.loads(outcome.read_text(encoding="utf-8")))
