"""The wall: the device world imports with torch and its friends blocked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

IMPORT_ALL = """
import importlib, importlib.abc, pkgutil, sys

BLOCKED = {
    "torch", "transformers", "datasets", "optimum", "accelerate", "safetensors", "onnx", "litert_torch",
    "ai_edge_quantizer", "matplotlib",
    *(f"edgedistil.{room}" for room in ("models", "distil", "prune", "export", "pipeline")),
}

class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in BLOCKED:
            raise ModuleNotFoundError(f"{name} is behind the wall", name=name)

sys.meta_path.insert(0, Wall())
names = [room]
module = importlib.import_module(room)
for entry in pkgutil.walk_packages(getattr(module, "__path__", []), room + "."):
    if not entry.name.endswith("__main__"):
        importlib.import_module(entry.name)
        names.append(entry.name)
print(len(names))
"""


def import_all(room: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"room = {room!r}\n{IMPORT_ALL}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("room", ["bench", "devices", "gate", "report", "predict", "bundle", "recipe"])
def test_every_module_of_the_device_world_imports_without_torch(room: str) -> None:
    done = import_all(f"edgedistil.{room}")
    assert done.returncode == 0, done.stderr
    expected = ROOT / "edgedistil" / room
    files = [path for path in expected.rglob("*.py") if path.name != "__main__.py"] if expected.is_dir() else [expected]
    assert int(done.stdout) == len(files)


def test_the_wall_holds_back_what_stands_behind_it() -> None:
    done = import_all("edgedistil.models")
    assert done.returncode != 0
    assert "edgedistil.models is behind the wall" in done.stderr
