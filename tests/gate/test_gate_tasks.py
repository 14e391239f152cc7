"""The gate on tasks that are not judged by accuracy, and on instructions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedistil.bench.measurement import Accuracy, Measurement
from edgedistil.errors import UsageError
from edgedistil.gate import Baseline, GateReport, baseline_from_measurements, judge, read_baseline, write_baseline
from edgedistil.gate.render import render_text

Make = Callable[..., Measurement]

SPAN = [[4, 8, "toxic"]]
NEARLY = [[4, 9, "toxic"]]


def spans(measurement: Make, missed: int = 0, nearly: int = 0, count: int = 600, **changes: Any) -> Measurement:
    """A measurement of marked spans: the first `missed` are not found, and the next `nearly` are a letter too long."""
    names = [f"{index:016x}" for index in range(count)]
    found = [[]] * missed + [NEARLY] * nearly + [SPAN] * (count - missed - nearly)
    values: dict[str, Any] = {
        "task": "token-classification",
        "predictions": dict(zip(names, found, strict=True)),
        "labels": dict.fromkeys(names, SPAN),
        "accuracy": Accuracy(value=0.9, low=0.8, high=1.0, examples=count, metric="char F1"),
    }
    return measurement(**(values | changes))


def held(made: Measurement) -> Baseline:
    return baseline_from_measurements([made], name="held", bundle="quickstart")


def outcomes(report: GateReport) -> dict[str, str]:
    return {check.kind: check.outcome for file in report.files for check in file.checks}


@pytest.mark.parametrize(
    ("missed", "nearly", "expected"), [(5, 0, "pass"), (40, 0, "fail"), (9, 0, "inconclusive"), (5, 20, "pass")]
)
def test_spans_are_judged_by_their_f1(measurement: Make, missed: int, nearly: int, expected: str) -> None:
    report = judge(held(spans(measurement, 5)), [spans(measurement, missed, nearly)])
    assert outcomes(report)["score"] == report.outcome == expected
    check = report.files[0].checks[0]
    assert check.line.startswith("char F1 ")
    assert "on 600 examples, by paired bootstrap" in check.line
    assert (check.settle is not None) == (expected == "inconclusive")
    assert "more" in (check.settle or "more")


def test_the_figures_are_the_tasks_own(measurement: Make) -> None:
    values = judge(held(spans(measurement)), [spans(measurement, 6, 30)]).files[0].checks[0].values
    assert values["old"] == pytest.approx(1)
    assert values["new"] == pytest.approx((564 + 30 * 2 * 4 / (4 + 5)) / 600)
    assert values["difference"] == pytest.approx(values["new"] - 1)


def test_a_correlation_is_judged(measurement: Make) -> None:
    generator = np.random.default_rng(0)
    right = generator.normal(size=2000)
    names = [f"{index:016x}" for index in range(2000)]

    def made(noise: float) -> Measurement:
        said = right + generator.normal(scale=noise, size=2000)
        return measurement(
            task="regression",
            predictions=dict(zip(names, said.tolist(), strict=True)),
            labels=dict(zip(names, right.tolist(), strict=True)),
            accuracy=Accuracy(value=0.9, low=0.8, high=1.0, examples=2000, metric="pearson"),
        )

    baseline = held(made(0.3))
    assert outcomes(judge(baseline, [made(0.31)]))["score"] == "pass"
    assert outcomes(judge(baseline, [made(0.9)]))["score"] == "fail"


def test_a_baseline_keeps_spans_as_they_are(measurement: Make, tmp_path: Path) -> None:
    baseline = held(spans(measurement, 5, 5))
    write_baseline(baseline, tmp_path / "held.json")
    back = read_baseline(tmp_path / "held.json")
    assert back == baseline
    assert list(back.entries[0].predictions.values())[4:6] == [[], NEARLY]
    assert judge(back, [spans(measurement, 5, 5)]).outcome == "pass"


def test_a_baseline_of_another_task_or_metric_is_refused(measurement: Make) -> None:
    with pytest.raises(
        UsageError, match="is of the task token-classification, and 'quickstart' of text-classification"
    ):
        judge(held(spans(measurement)), [measurement()])
    other = Accuracy(value=0.9, low=0.8, high=1.0, examples=600, metric="entity F1")
    with pytest.raises(UsageError, match="was scored by entity F1, and baseline 'held' by char F1"):
        judge(held(spans(measurement)), [spans(measurement, accuracy=other)])
    with pytest.raises(UsageError, match="different tasks"):
        baseline_from_measurements(
            [measurement(), spans(measurement, format="onnx-fp32")], name="held", bundle="quickstart"
        )


def emulated(measurement: Make, total: int | None, **changes: Any) -> Measurement:
    """A record as an emulator gives it: instructions, and no times."""
    absent = dict.fromkeys(("p50_ms", "p90_ms", "p99_ms", "load_ms", "first_ms", "peak_memory_mb"))
    counted = None if total is None else {"total": total, "load_store": total // 3}
    return measurement(**({"emulated": True, "samples_ms": [], "instructions": counted} | absent | changes))


@pytest.mark.parametrize(
    ("total", "expected"), [(10_000_000, "pass"), (10_050_000, "pass"), (10_050_001, "fail"), (9_000_000, "pass")]
)
def test_instructions_are_compared_exactly(measurement: Make, total: int, expected: str) -> None:
    report = judge(held(emulated(measurement, 10_000_000)), [emulated(measurement, total)])
    found = outcomes(report)
    assert (found["instructions"], report.outcome) == (expected, expected)
    assert found["latency"] == found["memory"] == "not compared"
    assert f"{total:,} an inference" in render_text(report)


def test_instructions_of_another_processor_or_run_are_not_compared(measurement: Make) -> None:
    baseline = held(emulated(measurement, 10_000_000))
    other = measurement().device.model_copy(update={"cpu": "Cortex-A72"})
    for made, words in (
        (emulated(measurement, 99_000_000, device=other), "counted on Cortex-A72, the baseline on Cortex-A76"),
        (emulated(measurement, 99_000_000, sequence_length=128), "2 threads at 128 tokens"),
        (emulated(measurement, 99_000_000, batch=4), "single-stream at batch 4, the baseline single-stream at batch 1"),
        (emulated(measurement, None), "this run did not count them"),
    ):
        report = judge(baseline, [made])
        assert outcomes(report)["instructions"] == "not compared"
        assert words in " ".join(render_text(report).split())
    assert "instructions" not in outcomes(judge(held(measurement()), [measurement()]))


def test_a_baseline_of_the_first_release_still_holds(measurement: Make, tmp_path: Path) -> None:
    """That release wrote no task, batch, scenario, instructions or limit of them."""
    values = json.loads(held(measurement()).model_dump_json(exclude={"task": True}))
    del values["limits"]["instructions_ratio"]
    for entry in values["entries"]:
        for name in ("batch", "scenario", "instructions"):
            del entry[name]
        entry["accuracy"] = {name: entry["accuracy"][name] for name in ("value", "low", "high", "examples")}
    (tmp_path / "old.json").write_text(json.dumps(values))
    report = judge(read_baseline(tmp_path / "old.json"), [measurement()])
    assert report.outcome == "pass"
    assert report.limits.instructions_ratio == 1.005
