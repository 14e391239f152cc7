from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_files import make_measurement as make

from edgedistil.bench.measurement import find, read_measurements, speedup, write_measurements
from edgedistil.errors import UsageError


def test_written_and_read_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "measurements.jsonl"
    records = [make(), make(name="ONNX int8", accuracy={"value": 0.9, "low": 0.8, "high": 0.95, "examples": 40})]
    write_measurements(path, records)
    assert read_measurements(path) == records
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert find(records, "ONNX int8") is records[1]
    assert find(records, "none") is None


def test_a_prediction_may_hold_what_parts_lines_elsewhere(tmp_path: Path) -> None:
    records = [make(predictions={"a": "one\u2028two\u0085three"}, labels={"a": "one\u2029two"})]
    write_measurements(tmp_path / "measurements.jsonl", records)
    assert read_measurements(tmp_path / "measurements.jsonl") == records


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
    other = make(session="t", p50_ms={"value": 2.0, "low": 1.9, "high": 2.2})
    unpaired = speedup(other, make(session="s", p50_ms={"value": 4.0, "low": 3.9, "high": 4.1}))
    assert (unpaired.low, unpaired.value, unpaired.high) == pytest.approx((1.81, 2.0, 2.12), abs=0.005)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: measurement of schema version None"),
        ('{"schema_version": 9}', "line 2: measurement of schema version 9, not 1; upgrade edgedistil"),
        ('{"schema_version": 0}', "line 2: measurement of schema version 0, not 1; write it again"),
        ("[" * 100_000, "line 2: not JSON"),
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


def test_a_line_of_the_first_release_still_reads(tmp_path: Path) -> None:
    """Written by hand as that release wrote it: no task, metric, instructions or scenario beyond the first."""
    old = make().model_dump(
        mode="json", exclude={"task", "throughput_per_second", "tokenise_ms", "energy_mj", "instructions"}
    ) | {"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "examples": 40}}
    path = tmp_path / "measurements.jsonl"
    path.write_text(json.dumps(old) + "\n")
    (read,) = read_measurements(path)
    assert read.schema_version == 1
    assert (read.task, read.accuracy and read.accuracy.metric) == ("text-classification", "accuracy")
    assert read.predictions == {"a": 1}


def test_no_median_is_zero() -> None:
    with pytest.raises(ValueError, match="p50_ms is not above 0"):
        make(p50_ms={"value": 1.0, "low": 0.0, "high": 2.0})


def test_only_an_emulators_record_may_leave_out_times() -> None:
    absent = dict.fromkeys(("p50_ms", "p90_ms", "p99_ms", "load_ms", "first_ms", "peak_memory_mb"))
    counted = {"total": 9_000_000, "multiply_accumulate": 4_000_000}
    record = make(emulated=True, samples_ms=[], blocks=[], instructions=counted, **absent)
    assert record.instructions == counted
    with pytest.raises(ValueError, match="samples_ms is missing, which only an emulator's record"):
        make(samples_ms=[], blocks=[])
    with pytest.raises(ValueError, match="p50_ms is missing"):
        make(p50_ms=None)
    with pytest.raises(ValueError, match="instructions have no 'total'"):
        make(instructions={"load_store": 3})


def test_an_unknown_field_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hostname"):
        make(hostname="pi")
    with pytest.raises(UsageError, match="cannot be read"):
        read_measurements(tmp_path / "none.jsonl")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        read_measurements(tmp_path / "binary")
