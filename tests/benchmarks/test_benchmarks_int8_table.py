"""The README's table of int8 files: each file once, under a name that tells it from the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import ROOT

OURS = "edgedistil"


def row(title: str, sha256: str, speed: float, *, by: str = OURS, scheme: str = "static_wi8_ai8") -> dict[str, Any]:
    against = {"difference": 0.0, "low": -0.01, "high": 0.01}
    return {
        "title": title,
        "by": by,
        "scheme": scheme,
        "runtime": "onnxruntime",
        "bytes": 100,
        "sha256": sha256,
        "test": {"accuracy": [0.9, 0.8, 1.0], "against_fp32": against},
        "speed": [speed, speed, speed],
    }


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from int8_table import int8_table

    rows = [
        row("ONNX fp32", "a", 1.0, scheme="fp32"),
        row("ONNX static int8", "b", 2.0),
        row("ONNX static int8, plain", "c", 2.5),
        row("ONNX static int8, smooth", "b", 2.1),
        row("optimum-cli --per_channel", "c", 2.2, by="optimum-cli", scheme="dynamic_wi8_afp32"),
        {key: value for key, value in row("ONNX int4", "e", 3.0, scheme="weight_wi4").items() if key != "speed"},
        {key: value for key, value in row("ONNX static int8, qat", "f", 3.0).items() if key != "speed"},
    ]
    record = {"rows": rows, "tokens": 64, "threads": 2, "machine": "a machine"}
    (tmp_path / "result.json").write_text(json.dumps(record), encoding="utf-8")
    lines = int8_table(tmp_path / "result.json").splitlines()
    return [line.split(" | ")[1] for line in lines if line.startswith("| ONNX Runtime")]


def test_a_variant_is_named_the_fastest_comes_first_and_what_was_scored_alone_last(names: list[str]):
    peer = "dynamic_wi8_afp32 by optimum-cli --per_channel"
    assert names == ["static_wi8_ai8, plain", peer, "static_wi8_ai8", "fp32", "weight_wi4"]


def test_a_variant_that_is_the_file_which_ships_is_no_row_of_its_own(names: list[str]):
    assert not [name for name in names if "smooth" in name]


def test_a_refused_file_s_earlier_rows_are_known_by_every_runtime_s_title(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from int8 import refused_titles

    assert refused_titles({"tflite-int8-static": "too far"}, "target") == {"TFLite static int8, target"}
    assert {"ONNX static int8", "ONNX static int8 in OpenVINO"} < refused_titles({"onnx-int8-static": "too far"})
    every = refused_titles({"all": "no"}, "qat")
    assert "TFLite static int8, qat" in every
    assert not [title for title in every if not title.endswith(", qat")]
