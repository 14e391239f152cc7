"""Runs and devices side by side: ratios where they mean something, and a reason where not."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_bundle
from rich.console import Console
from typer.testing import CliRunner

from edgedistil.bench.measurement import Accuracy, Measurement, write_measurements
from edgedistil.cli.main import app
from edgedistil.errors import UsageError
from edgedistil.report.compare import (
    Case,
    Comparison,
    compare,
    headings,
    line_cells,
    render_json,
    render_markdown,
    render_table,
)
from edgedistil.report.html import render_comparison
from edgedistil.report.sources import Source, open_sources

Make = Callable[..., Measurement]
Counted = Callable[[float], list[Measurement]]


def sides(*measured: list[Measurement]) -> Comparison:
    return compare([Source(name, made) for name, made in zip("abc", measured, strict=False)])


def cell(case: Case, quantity: str, column: int = -1) -> str:
    (line,) = [line for line in case.lines if line.quantity == quantity]
    return line_cells(line)[column][0]


def test_the_same_device_gives_ratios(measurements: list[Measurement], measurement: Make) -> None:
    slower = measurement(
        session="two",
        samples_ms=[2 * sample for sample in measurements[0].samples_ms],
        p50_ms=measurements[0].p50_ms.model_copy(update={"value": 2 * measurements[0].p50_ms.value}),
        bytes=measurements[0].bytes // 2,
    )
    (case,) = sides([measurements[0]], [slower]).cases
    line = next(line for line in case.lines if line.quantity == "p50 ms")
    assert line.ratios[0] is not None
    assert line.ratios[0].low < 2 < line.ratios[0].high
    assert cell(case, "file MB") == "0.500x"
    assert cell(case, "accuracy %") == "0.0"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sequence_length": 128}, "run otherwise (batch 1, 128 tokens, 2 threads against batch 1, 64 tokens"),
        ({"batch": 8, "scenario": "offline"}, "run otherwise (offline, batch 8"),
        ({"emulated": True}, "an emulator's times say nothing of a device"),
    ],
)
def test_times_that_cannot_be_compared_say_why(measurement: Make, change: dict[str, object], reason: str) -> None:
    made = sides([measurement()], [measurement(**change)])
    (case,) = made.cases
    assert cell(case, "p50 ms") == "-"
    assert any(reason in note for note in made.notes)
    assert cell(case, "file MB") == "1.000x"


def test_files_are_paired_by_how_they_were_run(measurement: Make) -> None:
    wide = {"threads": 4, "p50_ms": measurement().p50_ms.model_copy(update={"value": 5.6, "low": 5.5, "high": 5.7})}
    made = sides([measurement(), measurement(**wide)], [measurement(session="two", **wide)])
    assert [case.title for case in made.cases] == ["ONNX fp32", "ONNX fp32 (2)"]
    assert (cell(made.cases[0], "p50 ms", 1), cell(made.cases[0], "p50 ms")) == ("-", "-")
    assert cell(made.cases[1], "p50 ms") == "1.00x"
    assert any("different sessions" in note for note in made.notes)


def test_what_nobody_else_ran_stands_beside_its_like(measurement: Make) -> None:
    made = sides([measurement(threads=2)], [measurement(threads=4)])
    (case,) = made.cases
    assert cell(case, "p50 ms") != "-"


def test_another_device_keeps_its_own_times(measurement: Make) -> None:
    other = measurement().device.model_copy(update={"cpu": "Cortex-A76"})
    made = sides([measurement()], [measurement(device=other)])
    assert cell(made.cases[0], "p50 ms", 1) != "-"
    assert cell(made.cases[0], "p50 ms") == "-"
    assert any("another device (cpu differ)" in note for note in made.notes)


def test_instructions_are_compared_to_the_thousandth(counted: Counted) -> None:
    made = sides(counted(1), counted(1.004))
    for case in made.cases:
        assert cell(case, "million instructions") == "1.004x"
        assert not {"p50 ms", "peak MB"} & {line.quantity for line in case.lines}


def test_scores_of_other_metrics_or_examples_have_no_difference(measurement: Make) -> None:
    score = Accuracy(value=0.7, low=0.6, high=0.8, examples=953, metric="char F1")
    for other in (measurement(accuracy=score), measurement(labels={"a": 1})):
        (case,) = sides([measurement()], [other]).cases
        assert cell(case, "accuracy %") == "-"


def test_a_file_of_one_side_alone_is_shown(measurements: list[Measurement]) -> None:
    made = sides(measurements[:1], measurements)
    assert len(made.cases) == len(measurements)
    last = made.cases[-1]
    assert (cell(last, "p50 ms", 0), cell(last, "p50 ms")) == ("-", "-")
    assert cell(last, "p50 ms", 1) != "-"


def test_three_sides_each_have_a_ratio_and_every_form_has_every_figure(
    measurements: list[Measurement], counted: Counted
) -> None:
    made = sides(measurements, measurements, counted(1))
    assert headings(made) == ["a", "b", "c", "b, ratio", "c, ratio"]
    stream = io.StringIO()
    Console(file=stream, width=140).print(render_table(made))
    markdown = render_markdown(made)
    page = render_comparison([Source(name, rows) for name, rows in zip("ab", [measurements, counted(1)], strict=True)])
    for text in (stream.getvalue(), markdown, page):
        for figure in ("83.9–88.3", "TFLite int8", "an emulator's times say nothing of a device"):
            assert figure in text.replace("&#39;", "'")
    assert {line.count("|") for line in markdown.splitlines() if line.startswith("|")} == {8}
    assert Comparison.model_validate(json.loads(render_json(made))) == made
    assert not re.findall(r'(?:src|href)="(?!#)', page)


def test_one_device_has_a_frontier_and_two_have_none(measurements: list[Measurement], measurement: Make) -> None:
    other = measurement().device.model_copy(update={"cpu": "Cortex-A76"})
    pi = [measurement(device=other)]
    assert "dashed line" in render_comparison([Source("a", measurements), Source("b", measurements)])
    assert "dashed line" not in render_comparison([Source("a", measurements), Source("b", pi)])


@pytest.fixture
def runs(tmp_path: Path, measurements: list[Measurement]) -> Path:
    """A folder of two runs, one of which has its bundle."""
    for name in ("one", "two"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        write_measurements(tmp_path / "runs" / name / "measurements.jsonl", measurements)
    tiny_bundle.make_bundle(tmp_path / "runs" / "one")
    shutil.rmtree(tmp_path / "runs" / "one" / "sources")
    return tmp_path / "runs"


def test_runs_bundles_files_and_folders_are_sources(runs: Path) -> None:
    assert [source.name for source in open_sources([runs])] == ["one", "two"]
    (source,) = open_sources([runs / "one" / "bundle"])
    assert source.bundle is not None
    assert source.folder == (runs / "one").resolve()
    files = open_sources([runs / "one" / "measurements.jsonl", runs / "two" / "measurements.jsonl"])
    assert [source.name for source in files] == ["measurements (1)", "measurements (2)"]


def test_places_without_measurements_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no measurements there; make them with"):
        open_sources([tmp_path])
    with pytest.raises(UsageError, match="no measurements there"):
        open_sources([tmp_path / "nowhere"])
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(UsageError, match="holds no measurement"):
        open_sources([tmp_path / "empty.jsonl"])


def test_the_command_compares_and_writes(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)

    def typed(*words: str) -> str:
        done = CliRunner().invoke(app, ["report", *words])
        assert done.exit_code == 0, done.output
        return done.output

    assert "ratios are against one" in typed("one", "two", "--html", "both.html")
    assert (runs / "both.html").is_file()
    assert json.loads(typed(".", "--json"))["sides"] == ["one", "two"]
    assert "| accuracy % |" in typed("one", "two", "--markdown")
    typed("two")
    assert (runs / "two" / "report.html").is_file()


def test_names_are_shown_as_they_are(measurements: list[Measurement]) -> None:
    names = ["run[v2]", "cost_$^_$", "<b>"]
    sources = [Source(name, measurements[:2]) for name in names]
    stream = io.StringIO()
    Console(file=stream, width=200).print(render_table(compare(sources)))
    for heading in [*names, f"{names[1]}, ratio", f"{names[2]}, ratio"]:
        assert heading in stream.getvalue()
    assert "ratios are against run[v2]," in stream.getvalue()
    page = render_comparison(sources)
    assert "<b>: " not in page
    assert "cost_$^_$: " in page
