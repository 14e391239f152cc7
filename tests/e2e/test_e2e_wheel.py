"""The wheel alone, in a fresh environment without torch: predict, bench and gate run there."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from command import ROOT


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the wheel and installs it with onnxruntime alone; returns the environment's bin folder."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    pip = [str(folder / "env" / "bin" / "pip"), "install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    done = subprocess.run([*pip, f"{wheel}[ort]"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "env" / "bin"


def run(bare: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(bare / "edgedistil"), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_base_install_brings_no_torch(bare: Path):
    done = subprocess.run([str(bare / "pip"), "list", "--format", "json"], capture_output=True, text=True, check=True)
    installed = {package["name"].lower() for package in json.loads(done.stdout)}
    assert {"edgedistil", "onnxruntime", "tokenizers"} <= installed
    assert not installed & {"torch", "transformers", "datasets", "optimum", "pandas", "matplotlib"}


def test_predict_bench_and_gate_run_there(bare: Path, tiny_run, tmp_path: Path):
    bundle = str(tiny_run.bundle)
    done = run(bare, tmp_path, "predict", bundle, "this film was very brilliant and warm")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("positive\t")

    done = run(bare, tmp_path, "bench", bundle, "--seconds", "0.3", "--json", "-o", "found.jsonl")
    assert done.returncode == 0, done.stderr
    assert {row["name"] for row in json.loads(done.stdout)} == {"ONNX fp32", "ONNX int8"}
    assert "edgedistil[litert]" in done.stderr

    done = run(bare, tmp_path, "baseline", "set", bundle, "--measurements", "found.jsonl", "-o", "base.json")
    assert done.returncode == 0, done.stderr
    judge = ["gate", bundle, "--baseline", "base.json", "--measurements", "found.jsonl", "--margin", "0.03"]
    done = run(bare, tmp_path, *judge, "--latency-ratio", "1e6")  # 0.3 s settle no latency on a busy machine
    assert done.returncode == 0, done.stdout + done.stderr


def test_device_profiles_come_with_it(bare: Path, tmp_path: Path):
    listed = json.loads(run(bare, tmp_path, "devices", "--json").stdout)
    assert {profile["name"] for profile in listed} == {path.stem for path in (ROOT / "devices").glob("*.yaml")}


def test_a_host_command_names_the_extra(bare: Path, tiny_run):
    done = run(bare, tiny_run.root, "run", "export/tiny.yaml")
    assert done.returncode == 2
    assert "pip install 'edgedistil[host]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
