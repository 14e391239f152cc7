from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgedistil.bench.facts import local_facts
from edgedistil.bench.measurement import Measurement, find, read_measurements, speedup, write_measurements
from edgedistil.bench.thermal import Conditions
from edgedistil.errors import UsageError


def make(**changes: Any) -> Measurement:
    interval = {"value": 2.0, "low": 1.9, "high": 2.1}
    fields: dict[str, Any] = {
        "name": "ONNX fp32",
        "bundle": "b",
        "file": "onnx/model.onnx",
        "format": "onnx-fp32",
        "sha256": "0" * 64,
        "bytes": 10,
        "runtime": "onnxruntime",
        "runtime_version": "1",
        "threads": 1,
        "sequence_length": 8,
        "samples_ms": [2.0, 2.1, 1.9, 2.0],
        "blocks": [2, 2],
        "p50_ms": interval,
        "p90_ms": interval,
        "p99_ms": interval,
        "load_ms": 1.0,
        "first_ms": 3.0,
        "peak_memory_mb": 80.0,
        "device": local_facts(),
        "conditions": Conditions(),
        "started": "2030-01-01T00:00:00+00:00",
        "predictions": {"a": 1},
        "labels": {"a": 0},
        **changes,
    }
    return Measurement.model_validate(fields)


def test_written_and_read_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "measurements.jsonl"
    records = [make(), make(name="ONNX int8", accuracy={"value": 0.9, "low": 0.8, "high": 0.95, "examples": 40})]
    write_measurements(path, records)
    assert read_measurements(path) == records
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert find(records, "ONNX int8") is records[1]
    assert find(records, "none") is None


def test_rounds_cut_the_samples_and_must_add_up() -> None:
    assert make().rounds == [[2.0, 2.1], [1.9, 2.0]]
    assert make(blocks=[]).rounds == [[2.0, 2.1, 1.9, 2.0]]
    with pytest.raises(ValueError, match="blocks hold 3"):
        make(blocks=[3])


def test_speedup_is_paired_within_a_session_and_unpaired_across() -> None:
    slow = make(session="s", samples_ms=[4.0, 4.0, 8.0, 8.0])
    fast = make(session="s", samples_ms=[2.0, 2.0, 4.0, 4.0])
    paired = speedup(fast, slow)
    assert (paired.low, paired.value, paired.high) == pytest.approx((2, 2, 2))
    longer = make(session="s", samples_ms=[2.0, 2.0, 4.0, 4.0, 90.0], blocks=[2, 2, 1])
    assert speedup(longer, slow) == paired
    unpaired = speedup(make(session="t", samples_ms=[2.0, 2.0, 4.0, 4.0]), slow)
    assert unpaired.low < 2 < unpaired.high


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: measurement of schema version None"),
        ('{"schema_version": 9}', "line 2: measurement of schema version 9, not 1"),
        ('{"schema_version": 1}', "line 2: name: Field required"),
    ],
)
def test_a_broken_line_is_named(line: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "measurements.jsonl"
    path.write_text(f"{make().model_dump_json()}\n{line}\n")
    with pytest.raises(UsageError) as caught:
        read_measurements(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_field_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hostname"):
        make(hostname="pi")
    with pytest.raises(UsageError, match="cannot be read"):
        read_measurements(tmp_path / "none.jsonl")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        read_measurements(tmp_path / "binary")
