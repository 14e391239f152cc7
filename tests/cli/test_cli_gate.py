"""The gate as a user types it: every runtime and shape that is held, limits that are none, measurements of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_bundle
from command import typed

from edgedistil.bench.measurement import read_measurements, write_measurements

SHORT = ["--seconds", "0.1"]


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(tiny_bundle.make_bundle(tmp_path).folder)


def test_a_bundle_is_held_in_every_runtime_of_a_device(bundle: str, tmp_path: Path):
    pytest.importorskip("openvino")
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "both.yaml").write_text(
        "kind: local\nruntimes: [onnxruntime, openvino]\n", encoding="utf-8"
    )
    asked = ["--device", "both", *SHORT]
    done = typed(["baseline", "set", bundle, "-o", "base.json", *asked], tmp_path)
    assert done.returncode == 0, done.stderr
    # What is tested is which files are held against which, not this machine's calm.
    limits = ["--latency-ratio", "1e6", "--margin", "0.9"]
    done = typed(["gate", bundle, "--baseline", "base.json", "--json", *limits, *asked], tmp_path)
    judged = json.loads(done.stdout)["files"]
    assert [file["title"] for file in judged if file["format"] == "onnx-fp32"] == ["ONNX fp32", "ONNX fp32 in OpenVINO"]
    compared = {check["kind"]: check["outcome"] for file in judged for check in file["checks"]}
    assert "presence" not in compared
    assert compared["latency"] != "not compared"


def test_every_shape_of_a_baseline_is_measured(bundle: str, tmp_path: Path):
    swept = ["--threads", "1,2", "--format", "onnx-fp32", *SHORT]
    assert typed(["bench", bundle, "-o", "found.jsonl", *swept], tmp_path).returncode == 0
    held = ["baseline", "set", bundle, "-o", "base.json", "--measurements", "found.jsonl"]
    assert typed(held, tmp_path).returncode == 0
    limits = ["--latency-ratio", "1e6", "--margin", "0.9"]
    done = typed(["gate", bundle, "--baseline", "base.json", "--json", *limits, *SHORT], tmp_path)
    latencies = [
        check for file in json.loads(done.stdout)["files"] for check in file["checks"] if check["kind"] == "latency"
    ]
    assert len(latencies) == 2
    assert "not compared" not in {check["outcome"] for check in latencies}


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--margin=1", "--margin: 1 is no limit; give a share, such as 0.01 for one point"),
        ("--latency-ratio=0", "--latency-ratio: 0 is no limit; give a ratio above 0, such as 1.1"),
    ],
)
def test_what_is_no_limit_is_said_before_anything_is_measured(bundle: str, tmp_path: Path, option: str, line: str):
    held = ["baseline", "set", bundle, "-o", "base.json", "--format", "onnx-fp32", *SHORT]
    assert typed(held, tmp_path).returncode == 0
    done = typed(["gate", bundle, "--baseline", "base.json", option], tmp_path)
    assert (done.returncode, done.stderr.strip()) == (2, f"edgedistil: {line}")


def test_measurements_of_another_file_of_that_name_are_refused(bundle: str, tmp_path: Path):
    assert typed(["bench", bundle, "-o", "found.jsonl", "--format", "onnx-fp32", *SHORT], tmp_path).returncode == 0
    held = ["baseline", "set", bundle, "-o", "base.json", "--measurements", "found.jsonl"]
    assert typed(held, tmp_path).returncode == 0
    other = [made.model_copy(update={"sha256": "0" * 64}) for made in read_measurements(tmp_path / "found.jsonl")]
    write_measurements(tmp_path / "other.jsonl", other)
    judged = ["gate", bundle, "--baseline", "base.json", "--measurements", "other.jsonl"]
    for words in (judged, ["baseline", "set", bundle, "-o", "more.json", "--measurements", "other.jsonl"]):
        done = typed(words, tmp_path)
        assert done.returncode == 2
        assert "'ONNX fp32' was measured on another file than the bundle holds; measure those: " in done.stderr
