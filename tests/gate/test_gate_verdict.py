"""The decision table, row by row, and every bad input's line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgedistil.bench.cases import Case
from edgedistil.bench.measurement import Interval, Measurement
from edgedistil.bench.process import CaseError
from edgedistil.bench.thermal import Conditions
from edgedistil.errors import UsageError
from edgedistil.gate import (
    Baseline,
    GateLimits,
    GateReport,
    baseline_from_measurements,
    judge,
    read_baseline,
    render_json,
    render_text,
    write_baseline,
)

Make = Callable[..., Measurement]


@pytest.fixture
def baseline(measurement: Make) -> Baseline:
    return baseline_from_measurements([measurement()], name="held", bundle="quickstart")


def outcomes(report: GateReport) -> dict[str, str]:
    return {check.kind: check.outcome for file in report.files for check in file.checks}


def test_the_same_bundle_passes(baseline: Baseline, measurement: Make) -> None:
    report = judge(baseline, [measurement()])
    assert (report.outcome, report.exit_code) == ("pass", 0)
    assert set(outcomes(report).values()) == {"pass"}


def test_a_shown_loss_fails(baseline: Baseline, measurement: Make) -> None:
    report = judge(baseline, [measurement(wrong=range(150))])
    assert (report.outcome, report.exit_code) == ("fail", 1)
    assert report.files[0].checks[0].values["lost"] == 50


def test_a_file_in_two_runtimes_is_held_in_each(measurement: Make) -> None:
    usual, other = measurement(), measurement(runtime="openvino", p50=4.0)
    baseline = baseline_from_measurements([usual, other], name="held", bundle="quickstart")
    both = judge(baseline, [usual, measurement(runtime="openvino", p50=8.0)])
    assert [(file.title, file.outcome) for file in both.files] == [
        ("ONNX int8", "pass"),
        ("ONNX int8 in OpenVINO", "fail"),
    ]
    one = judge(baseline, [usual])
    assert [file.outcome for file in one.files] == ["pass", "inconclusive"]
    assert (
        one.files[1].checks[0].line
        == "the baseline holds onnx-int8 in OpenVINO on 2 threads at 64 tokens, and that was not measured"
    )


def test_each_shape_that_is_held_is_to_be_measured(measurement: Make) -> None:
    baseline = baseline_from_measurements([measurement(), measurement(threads=4)], name="held", bundle="quickstart")
    report = judge(baseline, [measurement()])
    assert [file.outcome for file in report.files] == ["pass", "inconclusive"]
    assert report.files[1].checks[0].kind == "presence"


def test_a_busy_machine_may_pass_a_file_but_not_fail_it(baseline: Baseline, measurement: Make) -> None:
    busy = Conditions(busy_before=0.8, busy_processes=["backup"])
    slow = judge(baseline, [measurement(p50=8.0, conditions=busy)])
    assert outcomes(slow)["latency"] == "inconclusive"
    assert slow.files[0].checks[1].settle == (
        "others used 80 % of its processors (backup): let it rest, and measure again"
    )
    assert outcomes(judge(baseline, [measurement(conditions=busy)]))["latency"] == "pass"


def test_another_gpu_is_another_device(measurement: Make) -> None:
    card = measurement().device.model_copy(update={"accelerator": "NVIDIA A"})
    made = measurement(runtime="onnxruntime-cuda", device=card)
    baseline = baseline_from_measurements([made], name="held", bundle="quickstart")
    other = card.model_copy(update={"accelerator": "NVIDIA B"})
    report = judge(baseline, [measurement(runtime="onnxruntime-cuda", device=other)])
    assert report.files[0].checks[1].line == "not compared: another device than the baseline's (accelerator differ)"


def test_times_of_another_runtime_are_not_compared(baseline: Baseline, measurement: Make) -> None:
    report = judge(baseline, [measurement(runtime="openvino", p50=50.0)])
    assert report.outcome == "pass"
    assert (outcomes(report)["latency"], outcomes(report)["memory"]) == ("not compared", "not compared")
    assert report.files[0].checks[1].line == "not compared: run by OpenVINO, the baseline by ONNX Runtime"
    assert "not held, for the baseline does not know it: onnx-int8 in OpenVINO" in report.notes


def test_a_loss_past_the_margin_and_shown_to_be_one_fails(baseline: Baseline, measurement: Make) -> None:
    """1.2 points lost of 1,000: the upper bound does not clear the margin, yet McNemar's test says it fell."""
    check = judge(baseline, [measurement(wrong=range(112))]).files[0].checks[0]
    upper, p_value = check.values["upper"], check.values["mcnemar_p"]
    assert upper is not None
    assert p_value is not None
    assert upper > -0.01
    assert p_value < 0.05
    assert check.outcome == "fail"


def test_too_few_examples_are_inconclusive_and_say_how_many_it_takes(measurement: Make) -> None:
    held = baseline_from_measurements([measurement(range(10), 100)], name="held", bundle="quickstart")
    report = judge(held, [measurement(range(10), 100)])
    check = report.files[0].checks[0]
    assert (report.outcome, report.exit_code) == ("inconclusive", 3)
    # z^2 (1 / margin - 1) = 267.9 with nothing gained or lost, rounded up to two digits.
    assert check.values["examples_to_settle"] == 270
    assert "170 examples more" in (check.settle or "")


def test_only_examples_in_common_count_and_the_rest_are_told(baseline: Baseline, measurement: Make) -> None:
    check = judge(baseline, [measurement(wrong=range(50), count=900)]).files[0].checks[0]
    assert check.values["examples"] == 900
    assert check.values["gained"] == 50
    assert "100 of the baseline's examples were not answered" in check.line


@pytest.mark.parametrize(
    ("p50", "width", "expected"),
    [(5.2, 0.01, "pass"), (6.0, 0.01, "fail"), (5.5, 0.05, "inconclusive")],
)
def test_latency_is_judged_by_its_interval(
    baseline: Baseline, measurement: Make, p50: float, width: float, expected: str
) -> None:
    interval = Interval(value=p50, low=p50 * (1 - width), high=p50 * (1 + width))
    report = judge(baseline, [measurement(p50_ms=interval)])
    assert outcomes(report)["latency"] == expected
    assert report.outcome == expected


@pytest.mark.parametrize("conditions", [Conditions(throttled=True), Conditions(stable=False)])
def test_an_unsteady_device_decides_nothing(baseline: Baseline, measurement: Make, conditions: Conditions) -> None:
    report = judge(baseline, [measurement(p50=9.0, conditions=conditions)])
    assert outcomes(report)["latency"] == "inconclusive"


def test_another_device_is_not_compared_and_is_told(baseline: Baseline, measurement: Make) -> None:
    other = measurement().device.model_copy(update={"cpu": "Cortex-A72"})
    report = judge(baseline, [measurement(p50=50.0, peak_memory_mb=900.0, device=other)])
    assert outcomes(report)["latency"] == outcomes(report)["memory"] == "not compared"
    assert report.outcome == "pass"
    assert "(cpu differ)" in render_text(report)
    assert "latency and memory did not count" in " ".join(render_text(report).split())


def test_other_threads_are_not_compared(baseline: Baseline, measurement: Make) -> None:
    report = judge(baseline, [measurement(p50=50.0, threads=1)])
    assert outcomes(report)["latency"] == "not compared"
    assert outcomes(report)["memory"] == "pass"


@pytest.mark.parametrize("shape", [{"sequence_length": 512}, {"batch": 8, "scenario": "offline"}])
@pytest.mark.parametrize("peak", [60.0, 400.0])
def test_memory_of_inputs_of_another_shape_is_not_compared(
    baseline: Baseline, measurement: Make, shape: dict[str, Any], peak: float
) -> None:
    report = judge(baseline, [measurement(peak_memory_mb=peak, **shape)])
    assert outcomes(report)["memory"] == "not compared"
    assert report.outcome == "pass"


def test_an_emulators_times_are_not_compared(baseline: Baseline, measurement: Make) -> None:
    assert outcomes(judge(baseline, [measurement(p50=50.0, emulated=True)]))["latency"] == "not compared"


@pytest.mark.parametrize(("change", "kind"), [({"bytes": 22_000_000}, "size"), ({"peak_memory_mb": 111.0}, "memory")])
def test_a_broken_limit_fails(baseline: Baseline, measurement: Make, change: dict[str, float], kind: str) -> None:
    report = judge(baseline, [measurement(**change)])
    assert report.outcome == "fail"
    assert {name for name, outcome in outcomes(report).items() if outcome == "fail"} == {kind}


def test_limits_given_override_the_baselines(baseline: Baseline, measurement: Make) -> None:
    assert judge(baseline, [measurement(bytes=22_000_000)], GateLimits(size_ratio=1.2)).outcome == "pass"


def test_a_file_not_measured_is_inconclusive_unless_left_out(measurement: Make) -> None:
    other = measurement(format="tflite-int8", name="TFLite int8")
    held = baseline_from_measurements([measurement(), other], name="held", bundle="quickstart")
    assert judge(held, [measurement()]).outcome == "inconclusive"
    assert judge(held, [measurement()], formats=["onnx-int8"]).outcome == "pass"


def failure(refused: bool, **changes: Any) -> CaseError:
    """Returns why the held file could not be measured."""
    case = Case("ONNX int8", "quickstart", Path("model.onnx"), "onnx-int8", "onnxruntime", 2, 64)
    return CaseError("no answer", case=replace(case, **changes), cure="mend it", refused=refused)


def test_a_held_file_that_is_refused_fails_and_one_that_its_device_cannot_take_decides_nothing(
    measurement: Make,
) -> None:
    held = [measurement(), measurement(format="onnx-fp32")]
    baseline = baseline_from_measurements(held, name="held", bundle="quickstart")
    report = judge(baseline, held[1:], failures=[failure(refused=True)])
    assert (report.exit_code, [file.outcome for file in report.files]) == (1, ["fail", "pass"])
    assert report.files[0].checks[0].line == (
        "the baseline holds onnx-int8 on 2 threads at 64 tokens, and this bundle's file fails: no answer"
    )
    report = judge(baseline, held[1:], failures=[failure(refused=False)])
    assert report.exit_code == 3
    check = report.files[0].checks[0]
    assert check.line.endswith("and that could not be measured: no answer")
    assert check.settle == "mend it"


def test_another_runtime_does_not_stand_in_for_one_that_failed(baseline: Baseline, measurement: Make) -> None:
    elsewhere = measurement(runtime="openvino")
    assert judge(baseline, [elsewhere]).outcome == "pass"
    assert judge(baseline, [elsewhere], failures=[failure(refused=True)]).outcome == "fail"
    # What the baseline does not hold may fail.
    assert judge(baseline, [measurement()], failures=[failure(refused=True, threads=4)]).outcome == "pass"


def test_a_new_file_is_noted(baseline: Baseline, measurement: Make) -> None:
    report = judge(baseline, [measurement(), measurement(format="tflite-int8")])
    assert report.outcome == "pass"
    assert any("tflite-int8" in note for note in report.notes)


def test_a_machine_that_slowed_down_is_suspected(measurement: Make) -> None:
    formats = ("onnx-int8", "onnx-fp32")
    held = baseline_from_measurements([measurement(format=name) for name in formats], name="held", bundle="quickstart")
    report = judge(held, [measurement(format=name, p50=8.0) for name in formats])
    assert report.outcome == "fail"
    assert any("machine's doing" in note for note in report.notes)


def test_text_fits_its_width_and_json_holds_the_figures(baseline: Baseline, measurement: Make) -> None:
    report = judge(baseline, [measurement(wrong=range(105))])
    text = render_text(report, width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith("Gate: INCONCLUSIVE")
    values = json.loads(render_json(report))
    assert values["exit_code"] == 3
    assert values["files"][0]["checks"][0]["values"]["lost"] == 5
    assert GateReport.model_validate({k: v for k, v in values.items() if k != "exit_code"}) == report


def test_a_baseline_reads_back_as_written(baseline: Baseline, tmp_path: Path) -> None:
    write_baseline(baseline, tmp_path / "new" / "held.json")
    assert read_baseline(tmp_path / "new" / "held.json") == baseline


def test_a_baseline_whose_file_takes_no_time_is_refused(baseline: Baseline, tmp_path: Path) -> None:
    held = baseline.model_dump(mode="json")
    held["entries"][0]["p50_ms"] = {"value": 0.0, "low": 0.0, "high": 0.0}
    (tmp_path / "base.json").write_text(json.dumps(held), encoding="utf-8")
    with pytest.raises(UsageError, match="p50_ms of 'onnx-int8' is not above 0"):
        read_baseline(tmp_path / "base.json")


def test_a_baseline_is_not_replaced_without_force(baseline: Baseline, tmp_path: Path) -> None:
    path = tmp_path / "held.json"
    write_baseline(baseline, path)
    with pytest.raises(UsageError, match=r"a baseline is there already; .*--force"):
        write_baseline(baseline, path)
    write_baseline(baseline.model_copy(update={"name": "newer"}), path, force=True)
    assert read_baseline(path).name == "newer"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "not valid JSON"),
        ("[]", "no 'schema_version'"),
        ('{"schema_version": 2}', "schema_version 2 is unknown; this release reads 1; upgrade"),
        ('{"schema_version": 1}', "'name': Field required"),
    ],
)
def test_a_damaged_baseline_is_refused_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "held.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=line) as caught:
        read_baseline(path)
    assert str(path) in caught.value.line()
    assert "\n" not in caught.value.line()


def test_a_missing_baseline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such baseline"):
        read_baseline(tmp_path / "held.json")


def test_no_example_in_common_is_refused(baseline: Baseline, measurement: Make) -> None:
    with pytest.raises(UsageError, match="no example in common with baseline 'held'"):
        judge(baseline, [measurement(predictions={"a": 1}, labels={"a": 1})])


def test_changed_labels_are_refused(baseline: Baseline, measurement: Make) -> None:
    made = measurement()
    flipped = {name: 1 - label for name, label in made.labels.items()}
    with pytest.raises(UsageError, match="1000 of 1000 reference labels differ"):
        judge(baseline, [measurement(labels=flipped)])


def test_a_file_that_was_not_scored_is_refused(baseline: Baseline, measurement: Make) -> None:
    unscored = measurement(predictions={}, labels={})
    with pytest.raises(UsageError, match="measured without being scored"):
        judge(baseline, [unscored])
    with pytest.raises(UsageError, match="measured without being scored"):
        baseline_from_measurements([unscored], name="held", bundle="quickstart")


def test_nothing_to_judge_is_refused(baseline: Baseline) -> None:
    with pytest.raises(UsageError, match="no measurements to judge"):
        judge(baseline, [])
    with pytest.raises(UsageError, match="no measurements to make a baseline of"):
        baseline_from_measurements([], name="held", bundle="quickstart")


def test_the_same_file_twice_is_refused(baseline: Baseline, measurement: Make) -> None:
    with pytest.raises(UsageError, match="two measurements of 'onnx-int8'"):
        judge(baseline, [measurement(), measurement()])


def test_another_bundles_files_are_passed_over(baseline: Baseline, measurement: Make) -> None:
    teacher = measurement(wrong=range(500), bundle="teacher")
    assert baseline_from_measurements([teacher, measurement()], name="held", bundle="quickstart").entries == (
        baseline.entries
    )
    assert judge(baseline, [teacher, measurement()], bundle="quickstart").outcome == "pass"


def test_an_unknown_format_names_the_nearest(baseline: Baseline, measurement: Make) -> None:
    with pytest.raises(UsageError, match="did you mean 'onnx-int8'"):
        judge(baseline, [measurement()], formats=["onnx-int4"])


def test_a_baseline_of_two_devices_is_refused(measurement: Make) -> None:
    other = measurement().device.model_copy(update={"cores": 2})
    with pytest.raises(UsageError, match="different devices"):
        baseline_from_measurements(
            [measurement(), measurement(format="onnx-fp32", device=other)], name="held", bundle="quickstart"
        )
