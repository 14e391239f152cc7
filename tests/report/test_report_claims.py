"""A claim says whether it holds, cannot contradict itself, and stays in the table when it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgedistil.errors import UsageError
from edgedistil.report.claims import markdown_table, read_claims


def claim(**changes: Any) -> dict[str, Any]:
    return {
        "id": "int8.speed-onnx",
        "claim": "ONNX int8 is faster than fp32",
        "bar": ">= 2.5",
        "measured": 3.1,
        "interval": [3.0, 3.2],
        "unit": "times",
        "holds": True,
        "result": "int8/speed.jsonl",
        "command": "edgedistil bench BUNDLE",
        "versions": {"onnxruntime": "1.31.1"},
        "date": "2026-01-31",
        "machine": "2 cores, AVX-512",
    } | changes


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_claims_become_a_table_those_missed_included(tmp_path: Path) -> None:
    missed = claim(
        id="int8.loss", claim="loses little | really", bar="<= 0.01", measured=0.02, interval=None, holds=False
    )
    lines = markdown_table(read_claims(write(tmp_path / "claims.json", [claim(), missed]))).splitlines()
    assert lines[2] == (
        "| [ONNX int8 is faster than fp32](benchmarks/results/int8/speed.jsonl) | at least 2.5 times "
        "| 3.1 (3 to 3.2) | yes |"
    )
    assert lines[3].endswith("| at most 0.01 times | 0.02 | **no** |")
    assert "loses little \\| really" in lines[3]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"holds": False}, "claim 'int8.speed-onnx': '0': 'holds' is False, yet 3.1 against the bar >= 2.5"),
        ({"interval": [3.2, 3.4]}, "does not hold the measured 3.1"),
        ({"bar": "fast"}, "'0.bar'"),
        ({"id": "speed"}, "'0.id'"),
        ({"result": "../../etc/passwd"}, "'0.result'"),
        ({"date": "yesterday"}, "'0.date'"),
        ({"colour": "red"}, "'0.colour': Extra inputs"),
    ],
)
def test_a_claim_with_a_fault_is_refused_by_name(tmp_path: Path, change: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        read_claims(write(tmp_path / "claims.json", [claim(**change)]))


def test_an_id_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"claim 'int8.speed-onnx' is there twice"):
        read_claims(write(tmp_path / "claims.json", [claim(), claim()]))


@pytest.mark.parametrize(("text", "match"), [("[", "not valid JSON"), ("{}", "valid array"), ("[1]", "'0'")])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "claims.json").write_text(text)
    with pytest.raises(UsageError, match=match):
        read_claims(tmp_path / "claims.json")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such claims file"):
        read_claims(tmp_path / "claims.json")
