from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgedistil.bench.facts import local_facts
from edgedistil.bench.latency import (
    LatencyTable,
    Probe,
    Setting,
    Shape,
    Steps,
    read_table,
    table_key,
    write_table,
)
from edgedistil.bench.latency_fit import designs, grid_of, solve, steady_costs
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.report.latency import draw_table, lines_of

SHAPE = Shape(layers=6, hidden_size=384, head_size=32, heads=12, ffn=1536)


def table(shape: Shape = SHAPE) -> LatencyTable:
    return LatencyTable(
        device_name="pi",
        device=local_facts(),
        runtime="litert",
        runtime_version="2",
        setting=Setting(format="tflite-int8", threads=2, sequence_length=64, shape=shape),
        rest=1.0,
        attention=Steps(widths=[0, 1, 12], costs=[0, 1, 3]),
        ffn=Steps(widths=[0, 1536], costs=[0, 4]),
        last_attention=Steps(widths=[0, 12], costs=[0, 1.5]),
        last_ffn=Steps(widths=[0, 1536], costs=[0, 0.1]),
        probes=[Probe(heads=[12] * 6, ffn=[1536] * 6, measured=40.0, predicted=37.6, held_out=True)],
    )


@settings(max_examples=8, deadline=None)
@given(
    first_token=st.booleans(),
    layers=st.integers(2, 12),
    rises=st.lists(st.floats(0.0, 1.0), min_size=16, max_size=16),
    rest=st.floats(0.01, 3.0),
    noise=st.sampled_from([0.0, 0.01]),
)
def test_the_fit_finds_the_costs_that_the_times_are_made_of(
    first_token: bool, layers: int, rises: list[float], rest: float, noise: float
) -> None:
    shape = SHAPE.model_copy(update={"layers": layers, "first_token": first_token})
    grid = grid_of(shape)

    def steps(widths: tuple[int, ...], start: int) -> Steps:
        return Steps(widths=list(widths), costs=[0.0, *np.cumsum(rises[start : start + len(widths) - 1]).tolist()])

    attention, ffn = steps(grid.attention, 0), steps(grid.ffn, 4)
    last = (
        {"last_attention": steps(grid.last_attention, 8), "last_ffn": steps(grid.last_ffn, 12)}
        if first_token
        else {"last_attention": attention, "last_ffn": ffn}
    )
    truth = table(shape).model_copy(update={"rest": rest, "attention": attention, "ffn": ffn, **last})
    models = [each for each in designs(shape, grid) if not each.held_out]
    generator = np.random.default_rng(1)
    times = [truth.predict(each.heads, each.ffn) * (1 + noise * generator.normal()) for each in models]
    found = truth.model_copy(update=vars(solve(shape, grid, models, times)))
    for each in designs(shape, grid):
        if each.held_out:
            wanted = truth.predict(each.heads, each.ffn)
            assert found.predict(each.heads, each.ffn) == pytest.approx(wanted, rel=1e-5 if not noise else 0.06)


@given(
    widths=st.lists(st.integers(1, 2000), min_size=1, max_size=6, unique=True),
    at=st.integers(0, 2500),
)
def test_costs_between_widths_lie_on_straight_lines(widths: list[int], at: int) -> None:
    steps = Steps(widths=[0, *sorted(widths)], costs=[0.0, *(2.5 * width for width in sorted(widths))])
    assert steps.at(at) == pytest.approx(2.5 * at)


def test_a_time_slice_of_a_neighbour_does_not_change_the_costs() -> None:
    generator = np.random.default_rng(0)

    def measured(cost: float) -> SimpleNamespace:
        # A busy core: most inferences wait for whole slices of 4 ms, a few are left in peace.
        waits = 4.0 * generator.poisson(1.0 + 0.2 * cost, size=300)
        return SimpleNamespace(samples_ms=(cost * generator.normal(1, 0.002, 300) + waits).tolist(), name="x")

    costs = [0.5, 1.0, 2.0, 4.0]
    found = steady_costs([measured(cost) for cost in costs], "ms")
    assert np.array(found) / found[0] == pytest.approx(np.array(costs) / costs[0], rel=0.02)


def test_a_measurement_that_holds_nothing_is_named() -> None:
    with pytest.raises(EdgeDistilError, match="empty: a measurement has neither times nor instructions"):
        steady_costs([SimpleNamespace(samples_ms=[], name="empty")], "ms")


def test_the_key_changes_with_device_runtime_and_setting() -> None:
    made = table()
    other = made.device.model_copy(update={"cpu": "another"})
    longer = made.setting.model_copy(update={"sequence_length": 128})
    keys = {
        made.key,
        table_key(other, "2", made.setting),
        table_key(made.device, "3", made.setting),
        table_key(made.device, "2", longer),
        table_key(made.device, "2", made.setting, exporter=1),
    }
    assert len(keys) == 5
    assert table_key(made.device.model_copy(update={"python": "9"}), "2", made.setting) == made.key


def test_a_table_survives_its_file(tmp_path: Path) -> None:
    write_table(table(), tmp_path / "deep" / "table.json")
    assert read_table(tmp_path / "deep" / "table.json") == table()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "no such latency table; make it with: edgedistil profile"),
        ("{", "not a latency table"),
        ('{"device_name": "pi"}', "not a latency table (device: Field required)"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str | None, line: str) -> None:
    path = tmp_path / "table.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_table(path)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("widths", "costs"), [([1, 2], [0.0, 1.0]), ([0, 2], [0.5, 1.0]), ([0, 2, 1], [0.0, 1.0, 1.0]), ([0, 1], [0.0])]
)
def test_widths_that_do_not_rise_from_nothing_are_refused(widths: list[int], costs: list[float]) -> None:
    with pytest.raises(ValidationError):
        Steps(widths=widths, costs=costs)


def test_a_table_is_drawn_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    picture = draw_table(table())
    assert picture.startswith("<?xml")
    Console(width=120).print(lines_of(table()))
    shown = capsys.readouterr().out
    assert "1536 neurons" in shown
    assert "6.0 %" in shown
