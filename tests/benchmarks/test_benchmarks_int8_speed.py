"""8 bits at DistilBERT's size: whose file is fastest, over sessions, and the processor's kind in the result's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import ROOT


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        (["avx2", "avx512_vnni", "amx_int8"], "amx"),
        (["avx2", "avx_vnni"], "vnni"),
        (["avx2", "avx512f", "avx512_vnni"], "vnni"),
        (["avx2", "fma"], "plain"),
    ],
)
def test_a_result_is_named_after_the_instructions_for_8_bits(flags: list[str], kind: str):
    pytest.importorskip("torch")
    from int8_speed import kind_of

    assert kind_of(flags) == kind


def test_everyones_fastest_8_bit_file_competes_and_the_median_session_counts():
    pytest.importorskip("torch")
    from int8_files import File
    from int8_speed import duel

    from edgedistil.bench.measurement import Interval, Measurement

    def file(title: str, scheme: str, runtime: str) -> File:
        return File(title, "anyone", scheme, Path(title), runtime)

    makers = {
        "ours": [
            file("ONNX fp32", "fp32", "openvino"),
            file("ours", "static_wi8_ai8", "openvino"),
            file("ours in bf16", "static_wi8_ai8", "openvino-bf16"),
            file("ours elsewhere", "static_wi8_ai8", "litert"),
        ],
        "by_hand": [file("theirs", "static_wi8_ai8", "openvino"), file("theirs in 4", "weight_wi4", "openvino")],
    }
    times = {"ONNX fp32": 60, "ours": 20, "ours in bf16": 15, "ours elsewhere": 1, "theirs": 30, "theirs in 4": 2}
    slow = times | {"theirs": 60}
    sessions = [
        {
            title: Measurement.model_construct(session="", blocks=[], p50_ms=Interval(value=ms, low=ms, high=ms))
            for title, ms in each.items()
        }
        for each in (times, slow, times)
    ]

    found = duel(makers, sessions, "openvino")

    assert found["files"] == ["ours in bf16", "theirs"]
    assert found["ours"] == pytest.approx([4, 4, 4])
    assert found["by_hand"] == pytest.approx([2, 1, 2])
    assert found["ours_against_by_hand"] == pytest.approx([2, 2, 4])


def test_a_processor_that_was_not_measured_has_no_rows_and_peers_that_were_not_there_no_figures(tmp_path: Path):
    from int8_speed_table import int8_speed_table

    each = {"ours": [3.0, 2.9, 3.1], "peers": [2.0, 1.9, 2.1], "ours_against_peers": [1.5, 1.4, 1.6]}
    fastest = {
        "onnxruntime": ["ONNX int8", "optimum-cli"],
        "openvino": ["ONNX static int8 in OpenVINO bf16", "NNCF quantize in OpenVINO bf16"],
        "litert": ["TFLite int8", "ai-edge-quantizer"],
    }
    best = {runtime: {**each, "files": files} for runtime, files in fastest.items()}
    record = {"sessions": 3, "tokens": 128, "threads": 2, "best": best}
    (tmp_path / "speed-vnni.json").write_text(json.dumps(record), encoding="utf-8")

    rows = [line for line in int8_speed_table(tmp_path, {"amx": "AMX", "vnni": "VNNI"}).splitlines() if "x (" in line]

    assert len(rows) == 3
    assert rows[0].startswith("| VNNI | ONNX Runtime | 3.00x (2.90–3.10) | 2.00x")
    assert rows[0].endswith("| 1.50x (1.40–1.60) |  |  |")
    assert rows[1].startswith("| VNNI | OpenVINO bf16 | 3.00x"), "the fastest of both are with the hint"
