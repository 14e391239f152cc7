"""The chain: from a teacher and sentences to a bundle that is measured, reported, gated and opened by others."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import typed
from tiny import write_workspace

from edgedistil.bench.measurement import read_measurements
from edgedistil.bundle.read import open_bundle
from edgedistil.gate.baseline import read_baseline

ROWS = [
    "teacher, ONNX fp32",
    "student, ONNX fp32",
    "pruned, PyTorch",
    "pruned, ONNX fp32",
    "pruned, ONNX int8",
    "pruned, TFLite fp32",
    "pruned, TFLite int8",
]


def test_every_row_of_the_table_is_a_measured_file(tiny_run):
    rows = tiny_run.outcome["rows"]
    assert [row["name"] for row in rows] == ROWS
    measurements = read_measurements(tiny_run.root / "runs" / "tiny" / "measurements.jsonl")
    assert [made.name for made in measurements] == ROWS
    for made in measurements:
        assert made.accuracy is not None
        assert made.accuracy.examples == len(made.predictions) == 240
        assert made.p50_ms.value <= made.p99_ms.value
        assert made.peak_memory_mb > made.runtime_memory_mb > 5
        assert made.bytes > 1000
    assert len({made.session for made in measurements}) == 1


def test_the_student_has_learnt_and_int8_keeps_it(tiny_run):
    accuracy = dict(zip(ROWS, tiny_run.outcome["rows"], strict=True))
    found = {name: row["accuracy"]["value"] for name, row in accuracy.items()}
    assert min(found.values()) > 0.9
    assert abs(found["pruned, ONNX int8"] - found["pruned, ONNX fp32"]) < 0.03


def test_pruning_made_the_files_smaller_and_uneven_layers_legal(tiny_run):
    bundle = open_bundle(tiny_run.bundle)
    pruning = next(stage for stage in bundle.manifest.lineage if stage.name == "prune").summary
    assert pruning["kept_parameters"] <= 0.6
    assert bundle.manifest.model.heads == pruning["heads"]
    sizes = {record.format: record.bytes for record in bundle.manifest.files if record.format}
    student = open_bundle(tiny_run.root / "runs" / "tiny" / "reference" / "student")
    assert sizes["onnx-fp32"] < student.path("onnx-fp32").stat().st_size
    assert sizes["onnx-int8"] < 0.7 * sizes["onnx-fp32"]


def test_the_bundle_tells_where_it_comes_from(tiny_run):
    manifest = open_bundle(tiny_run.bundle).manifest
    made = ["data", "teacher", "targets", "distil", "prune", "recover"]
    exported = next(stage for stage in tiny_run.outcome["stages"] if stage["name"] == "export")["summary"]
    smoothed = any(form["smooth"] for form in exported["forms"].values())
    assert set(exported["forms"]) == {"onnx-int8", "tflite-int8"}
    assert [stage.name for stage in manifest.lineage] == [*made, *(["quantise"] if smoothed else [])]
    assert manifest.dataset.counts == {"dev": 240, "test": 200, "train": 600}
    assert manifest.recipe["student"]["layers"] == 1
    assert {"torch", "onnxruntime", "transformers"} <= set(manifest.packages)
    for record in manifest.files:
        if record.format in ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"):
            assert record.parity is not None
            assert record.parity.max_abs <= record.parity.tolerance
            assert record.accuracy is not None
    card = (tiny_run.bundle / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    assert not [path for path in tiny_run.bundle.rglob("*") if path.suffix in (".bin", ".pt", ".pkl")]


def test_the_same_recipe_again_does_no_work(tiny_run):
    started = time.monotonic()
    done = typed(["run", "export/tiny.yaml", "--json"], tiny_run.root)
    assert done.returncode == 0, done.stderr
    assert all(stage["reused"] for stage in json.loads(done.stdout)["stages"])
    assert time.monotonic() - started < 60


def test_the_teachers_outputs_are_made_again_only_for_who_reads_them(tiny_run):
    assert typed(["cache", "rm", "targets"], tiny_run.root).returncode == 0
    done = typed(["run", "export/tiny.yaml"], tiny_run.root)
    assert done.returncode == 0, done.stderr
    assert "targets: not needed" in done.stdout + done.stderr
    for override, needed in (("gate.margin=0.02", False), ("prune.recover.epochs=2", True)):
        plan = typed(["run", "export/tiny.yaml", "--dry-run", "--json", "--set", override], tiny_run.root)
        stages = {stage["name"]: stage for stage in json.loads(plan.stdout)["stages"]}
        assert stages["targets"]["needed"] is needed
        assert stages["distil"]["reused"]


def test_a_gate_changed_in_the_recipe_reaches_the_bundle_though_no_stage_is_done_again(tiny_run, tmp_path):
    try:
        done = typed(["run", "export/tiny.yaml", "--json", "--set", "gate.margin=0.07"], tiny_run.root)
        assert done.returncode == 0, done.stderr
        assert all(stage["reused"] for stage in json.loads(done.stdout)["stages"])
        measured = str(tiny_run.root / "runs" / "tiny" / "measurements.jsonl")
        written = str(tmp_path / "baseline.json")
        asked = ["baseline", "set", str(tiny_run.bundle), "--output", written, "--measurements", measured]
        assert typed(asked, tiny_run.root).returncode == 0
        assert read_baseline(Path(written)).limits.margin == 0.07
    finally:
        assert typed(["run", "export/tiny.yaml"], tiny_run.root).returncode == 0
    assert open_bundle(tiny_run.bundle).manifest.recipe["gate"]["margin"] != 0.07


def test_what_was_removed_or_changed_in_runs_is_put_back(tiny_run):
    (tiny_run.root / "runs" / "tiny" / "report.html").unlink()
    (tiny_run.bundle / "onnx" / "model.onnx").write_bytes(b"spoilt")
    done = typed(["run", "export/tiny.yaml"], tiny_run.root)
    assert done.returncode == 0, done.stderr
    assert (tiny_run.root / "runs" / "tiny" / "report.html").is_file()
    open_bundle(tiny_run.bundle)


def test_dry_run_shows_what_is_reused_and_does_nothing(tiny_run):
    done = typed(["run", "export/tiny.yaml", "--dry-run", "--json", "--set", "distil.epochs=5"], tiny_run.root)
    plan = {stage["name"]: stage for stage in json.loads(done.stdout)["stages"]}
    assert plan["teacher"]["reused"]
    assert not plan["distil"]["reused"]
    assert plan["distil"]["seconds"] > 0
    assert "distil" not in {path.name.partition("-")[0] for path in (tiny_run.root / ".edgedistil/partial").glob("*")}


def test_the_report_is_one_file_without_a_network(tiny_run):
    page = (tiny_run.root / "runs" / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']https?:", page)
    for row in ROWS:
        assert row in page


def test_predict_in_every_format_agrees(tiny_run):
    labels = set()
    for name in ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"):
        text = "this film was very brilliant and warm"
        done = typed(["predict", str(tiny_run.bundle), text, "--format", name, "--json"], tiny_run.root)
        assert done.returncode == 0, done.stderr
        labels.add(json.loads(done.stdout)["label"])
    assert labels == {"positive"}


def test_predict_reads_lines_from_a_pipe(tiny_run):
    done = typed(
        ["predict", str(tiny_run.bundle)],
        tiny_run.root,
        input="the plot was dull and very awful\nthis film was very brilliant and warm\n",
    )
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["negative", "positive"]


def test_gate_passes_the_same_bundle_and_fails_a_worse_one(tiny_run, tmp_path):
    baseline = tmp_path / "baseline.json"
    arguments = ["--seconds", "0.3", "--format", "onnx-int8"]
    done = typed(["baseline", "set", str(tiny_run.bundle), "-o", str(baseline), *arguments], tiny_run.root)
    assert done.returncode == 0, done.stderr
    again = typed(["baseline", "set", str(tiny_run.bundle), "-o", str(baseline)], tiny_run.root)
    assert again.returncode == 2
    assert "--force" in again.stderr

    # A generous latency limit: what is tested here is the verdict, not this machine's calm.
    judged = ["gate", str(tiny_run.bundle), "--baseline", str(baseline), "--latency-ratio", "1e6", "--margin", "0.05"]
    done = typed([*judged, "--seconds", "0.3", "--json"], tiny_run.root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["outcome"] == "pass"

    worse = _worse_workspace(tiny_run, tmp_path)
    arguments = ["--baseline", str(baseline), "--latency-ratio", "1e6", "--seconds", "0.3", "--json"]
    done = typed(["gate", str(worse), *arguments], tiny_run.root)
    assert done.returncode == 1, done.stdout + done.stderr
    assert json.loads(done.stdout)["outcome"] == "fail"


def _worse_workspace(tiny_run, tmp_path: Path) -> Path:
    """Returns a bundle of the same recipe whose student has hardly been trained, from the same cached teacher."""
    overrides = ["distil.epochs=0.02", "distil.learning_rate=1e-6", "prune=null", "name=tiny"]
    overrides += ["export.formats=[onnx-int8]"]
    flags = [part for override in overrides for part in ("--set", override)]
    root = tmp_path / "worse"
    shutil.copytree(tiny_run.root, root, ignore=shutil.ignore_patterns("runs"))
    done = typed(["export", "export/tiny.yaml", *flags], root)
    assert done.returncode == 0, done.stderr
    return root / "runs" / "tiny" / "bundle"


def test_tampered_bundle_is_refused(tiny_run, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(tiny_run.bundle, copy)
    path = copy / "onnx" / "model_quantized.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for command in (["predict", str(copy), "text"], ["bench", str(copy)]):
        done = typed(command, tiny_run.root)
        assert done.returncode == 2
        assert "sha256" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_others_open_the_bundle_without_edgedistil(tiny_run):
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'edgedistil':
            raise ImportError('edgedistil is refused here')
sys.meta_path.insert(0, Refuse())
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer, pipeline
folder = {str(tiny_run.bundle)!r}
tokenizer = AutoTokenizer.from_pretrained(folder)
for file_name in ('model.onnx', 'model_quantized.onnx'):
    model = ORTModelForSequenceClassification.from_pretrained(folder, subfolder='onnx', file_name=file_name)
    classify = pipeline('text-classification', model=model, tokenizer=tokenizer)
    print(classify('this film was very brilliant and warm')[0]['label'])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd="/", env=_without_network()
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["positive", "positive"]


def test_a_killed_distillation_goes_on_where_it_was(tiny_run, tmp_path):
    root = tmp_path / "killed"
    shutil.copytree(tiny_run.root, root, ignore=shutil.ignore_patterns("runs"))
    command = [sys.executable, "-m", "edgedistil", "distil", "export/tiny.yaml", "--set", "distil.epochs=8", "--json"]
    environment = os.environ | {"EDGEDISTIL_CHECKPOINT_SECONDS": "0"}
    running = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(root.glob(".edgedistil/partial/distil-*/scratch/train/latest.pt")):
        assert running.poll() is None, "it ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    finished = {path.name.rpartition("-")[0] for path in (root / ".edgedistil" / "stages").iterdir()}
    before = len(list((root / ".edgedistil" / "stages").glob("distil-*")))
    assert {"data", "teacher", "targets"} <= finished

    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    stages = {stage["name"]: stage for stage in json.loads(done.stdout)["stages"]}
    assert stages["teacher"]["reused"]
    assert stages["distil"]["summary"]["resumed_from"] > 0
    assert len(list((root / ".edgedistil" / "stages").glob("distil-*"))) == before + 1


def test_full_disk_in_mid_run_is_one_line_and_keeps_earlier_stages(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    root, disk = tmp_path / "work", tmp_path / "disk"
    write_workspace(root)
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("this machine does not let root mount a small disk")
    try:
        environment = os.environ | {"EDGEDISTIL_CACHE": str(disk)}
        command = [sys.executable, "-m", "edgedistil", "distil", "export/tiny.yaml"]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        line = done.stderr.strip().splitlines()[-1]
        assert "disk" in line
        assert "earlier stages are kept" in line
        assert "Traceback" not in done.stderr
        assert [path.name for path in (disk / "stages").iterdir() if path.name.startswith("data-")]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _without_network() -> dict[str, str]:
    return os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
