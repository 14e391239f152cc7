"""One whole run of the tiny recipe, as a user types it, that every test here looks at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import typed
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
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    root = tmp_path_factory.mktemp("e2e")
    write_workspace(root)
    done = typed(["run", "export/tiny.yaml", "--json"], root)
    assert done.returncode == 0, done.stderr
    return TinyRun(root, json.loads(done.stdout))
