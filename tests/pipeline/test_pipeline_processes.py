"""A recipe under `accelerate launch`: two processes share the training, one does the rest and speaks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tiny import write_workspace

LAUNCH = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "-m", "edgedistil"]


def distil(recipe: Path, *module: str) -> subprocess.CompletedProcess:
    keys = ["teacher.fine_tune.epochs=1", "distil.epochs=1", "teacher.fine_tune.evaluations_per_epoch=1"]
    return subprocess.run(
        [sys.executable, "-m", *module, "distil", str(recipe), *(f"--set={key}" for key in keys)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_two_processes_make_one_student_and_say_it_once(tmp_path: Path):
    recipe = write_workspace(tmp_path)
    done = distil(recipe, *LAUNCH)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best_dev_score") == 1
    (made,) = (tmp_path / ".edgedistil" / "stages").glob("distil-*")
    assert (made / "model" / "model.safetensors").is_file()
    assert not list((tmp_path / ".edgedistil" / "partial").glob("*/"))

    again = distil(recipe, "edgedistil")
    assert again.returncode == 0, again.stderr
    assert "distil: reused" in again.stderr
