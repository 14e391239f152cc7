"""The gate as a user types it: every runtime and shape that is held, limits that are none, measurements of others."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_bundle
from command import typed

from edgedistil.bench.measurement import read_measurements, write_measurements
from edgedistil.bench.thermal import Conditions
from edgedistil.bundle import write_bundle

SHORT = ["--seconds", "0.1"]


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """A bundle whose int8 file answers some texts with NaN."""
    sources = tiny_bundle.make_sources(tmp_path / "broken" / "sources")
    tiny_bundle.make_model(sources["onnx/model_quantized.onnx"], gain=math.nan)
    return str(write_bundle(tmp_path / "broken" / "bundle", sources, tiny_bundle.make_details()).folder)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_bundle.make_bundle(tmp_path_factory.mktemp("whole")).folder)


@pytest.fixture(scope="module")
def measured(bundle: str) -> Path:
    """The folder with `found.jsonl`, what was measured of the bundle, and `base.json`, which holds it."""
    folder = Path(bundle).parent
    assert typed(["bench", bundle, "-o", "found.jsonl", *SHORT], folder).returncode == 0
    held = ["baseline", "set", bundle, "-o", "base.json", "--measurements", "found.jsonl"]
    assert typed(held, folder).returncode == 0
    return folder


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
def test_what_is_no_limit_is_said_before_anything_is_measured(bundle: str, measured: Path, option: str, line: str):
    done = typed(["gate", bundle, "--baseline", "base.json", option], measured)
    assert (done.returncode, done.stderr.strip()) == (2, f"edgedistil: {line}")


def test_measurements_of_another_file_of_that_name_are_refused(bundle: str, measured: Path):
    other = [made.model_copy(update={"sha256": "0" * 64}) for made in read_measurements(measured / "found.jsonl")]
    write_measurements(measured / "other.jsonl", other)
    judged = ["gate", bundle, "--baseline", "base.json", "--measurements", "other.jsonl"]
    for words in (judged, ["baseline", "set", bundle, "-o", "more.json", "--measurements", "other.jsonl"]):
        done = typed(words, measured)
        assert done.returncode == 2
        assert "'ONNX fp32' was measured on another file than the bundle holds; measure those: " in done.stderr


def test_a_held_file_that_gives_no_answer_fails(broken: str, measured: Path):
    limits = ["--latency-ratio", "1e6", "--margin", "0.9"]
    done = typed(["gate", broken, "--baseline", "base.json", "--json", *limits, *SHORT], measured)
    files = {file["format"]: file for file in json.loads(done.stdout)["files"]}
    assert (done.returncode, files["onnx-int8"]["outcome"]) == (1, "fail")
    (check,) = files["onnx-int8"]["checks"]
    assert check["line"].endswith("with NaN or infinity")
    assert "presence" not in [check["kind"] for check in files["onnx-fp32"]["checks"]]


def test_a_baseline_is_not_set_without_a_file_that_gives_no_answer(broken: str, tmp_path: Path):
    held = ["baseline", "set", broken, "-o", "base.json", *SHORT]
    done = typed(held, tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"edgedistil: {broken}: a baseline without 'ONNX int8' would hold no later bundle to it; "
        "mend that file, or name those to hold with --format"
    )
    assert not (tmp_path / "base.json").exists()
    assert typed([*held, "--format", "onnx-fp32"], tmp_path).returncode == 0


def test_a_strict_bench_fails_with_a_file_that_gives_no_answer(broken: str, tmp_path: Path):
    done = typed(["bench", broken, "--strict", *SHORT], tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("edgedistil: ONNX int8 (")
    assert done.stderr.splitlines()[-1].endswith("with NaN or infinity")


def test_a_baseline_of_a_busy_machine_says_so(bundle: str, measured: Path, tmp_path: Path):
    calm, busy = read_measurements(measured / "found.jsonl")
    strain = Conditions(busy_before=0.6, busy_processes=["apt"])
    made = [
        calm.model_copy(update={"conditions": Conditions()}),
        busy.model_copy(update={"conditions": strain}),
        calm.model_copy(update={"bundle": "tiny-teacher", "conditions": strain}),
    ]
    write_measurements(tmp_path / "found.jsonl", made)
    done = typed(["baseline", "set", bundle, "-o", "base.json", "--measurements", "found.jsonl"], tmp_path)
    assert done.returncode == 0
    assert done.stderr.strip() == (
        "edgedistil: ONNX int8: others used 60 % of its processors (apt); its time holds little: set it again at rest"
    )


def hold_otherwise(measured: Path, path: Path, change: Callable[[str], str], **fields: Any) -> None:
    """Writes another baseline: another name for each example, other fields."""
    held = json.loads((measured / "base.json").read_text(encoding="utf-8"))
    held["labels"] = {change(name): label for name, label in held["labels"].items()}
    for entry in held["entries"]:
        entry["predictions"] = {change(name): value for name, value in entry["predictions"].items()}
    path.write_text(json.dumps(held | fields), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "fields", "line"),
    [
        (str, {"task": "regression"}, "baseline 'tiny': is of the task regression, and 'tiny' of text-classification"),
        (str.swapcase, {}, "no example in common with baseline 'tiny'"),
    ],
)
def test_what_has_nothing_in_common_with_a_baseline_is_said_before_anything_is_measured(
    bundle: str, measured: Path, tmp_path: Path, change: Callable[[str], str], fields: dict[str, Any], line: str
):
    hold_otherwise(measured, tmp_path / "base.json", change, **fields)
    done = typed(["gate", bundle, "--baseline", "base.json", "--seconds", "60"], tmp_path, timeout=30)
    assert done.returncode == 2
    assert line in done.stderr


def test_a_bundle_without_examples_is_refused_before_anything_is_measured(measured: Path, tmp_path: Path):
    sources = tiny_bundle.make_sources(tmp_path / "unscored" / "sources")
    del sources["evaluation/dev.npz"]
    unscored = str(write_bundle(tmp_path / "unscored" / "bundle", sources, tiny_bundle.make_details()).folder)
    for words in (["baseline", "set", unscored, "-o", "more.json"], ["gate", unscored, "--baseline", "base.json"]):
        done = typed([*words, "--seconds", "60"], measured, timeout=30)
        assert done.returncode == 2
        assert done.stderr.strip() == (
            f"edgedistil: {unscored}: the bundle has no evaluation set to score its files on; "
            "export it again, or give --measurements of files that were scored"
        )
