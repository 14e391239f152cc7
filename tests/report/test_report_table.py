"""The table says what was measured: figures, intervals, speeds against the first row, and what speaks against them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from edgedistil.bench.measurement import Accuracy, Interval, Measurement
from edgedistil.bench.thermal import Conditions
from edgedistil.report.table import Row, make_rows, number, render_json, render_markdown, render_table

Make = Callable[..., Measurement]


def shown(rows: list[Row], width: int = 100) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(render_table(rows))
    return stream.getvalue()


def test_speed_is_against_the_first_row_with_an_interval(measurements: list[Measurement]) -> None:
    rows = make_rows(measurements)
    assert rows[0].speed is not None
    assert rows[0].speed.value == 1
    for row, made in zip(rows[1:], measurements[1:], strict=True):
        assert row.speed is not None
        assert row.speed.low <= row.speed.value <= row.speed.high
        assert row.speed.value == pytest.approx(measurements[0].p50_ms.value / made.p50_ms.value, rel=0.02)


def test_a_terminal_of_a_hundred_columns_shows_every_figure_whole(measurements: list[Measurement]) -> None:
    text = shown(make_rows(measurements))
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 100
    line = next(line for line in text.splitlines() if line.lstrip().startswith("TFLite int8"))
    for figure in ("86.3", "83.9–88.3", "64.0", "18.9"):
        assert figure in line


def test_conditions_are_flagged_below_the_table(measurements: list[Measurement], measurement: Make) -> None:
    noisy = measurement(
        name="noisy", conditions=Conditions(stable=False, throttled=True, load_average_before=1.8), precise=False
    )
    rows = make_rows([*measurements, noisy])
    assert [flag.split(":")[0] for flag in rows[-1].flags] == ["unstable", "throttled", "imprecise", "busy"]
    assert not any(row.flags for row in rows[:-1])
    text = " ".join(shown(rows).split())
    assert "* throttled: the processor was slowed down or short of voltage (noisy)" in text


def test_int8_on_plain_cuda_is_advised_against(measurement: Make) -> None:
    cuda = measurement(name="ONNX int8, cuda", format="onnx-int8", runtime="onnxruntime-cuda")
    text = render_markdown(make_rows([cuda]))
    assert "int8 in ONNX Runtime on CUDA is slower than fp16" in text
    assert "choose onnx-fp16 (ONNX int8, cuda)" in text
    assert "CUDA was not measured" not in text
    for other in ({"format": "onnx-fp16"}, {"runtime": "onnxruntime-tensorrt"}, {"runtime": "onnxruntime"}):
        assert "slower" not in render_markdown(make_rows([cuda.model_copy(update=other)]))


def test_a_quiet_moment_outweighs_the_load_of_a_minute_ago(measurement: Make) -> None:
    quiet = measurement(conditions=Conditions(load_average_before=1.9, busy_before=0.02))
    busy = measurement(conditions=Conditions(load_average_before=0.1, busy_before=0.6))
    later = measurement(conditions=Conditions(busy_before=0.1, busy_after=0.4, busy_processes=["apt"]))
    assert make_rows([later])[0].flags == ["busy: others used 40 % of the processors when it ended (apt)"]
    assert make_rows([quiet])[0].flags == []
    assert make_rows([busy])[0].flags == ["busy: others used 60 % of the processors when it began"]


def test_a_devices_own_reasons_are_told(measurement: Make) -> None:
    hot = Conditions(
        throttled=True,
        throttled_by=["under-voltage"],
        busy_before=0.5,
        busy_processes=["backup"],
        frequency_mhz_before=2400,
        frequency_mhz_after=1500,
    )
    assert make_rows([measurement(conditions=hot)])[0].flags == [
        "throttled: the processor was slowed down or short of voltage (under-voltage)",
        "slower: its clock fell from 2400 to 1500 MHz",
        "busy: others used 50 % of the processors when it began (backup)",
    ]


def test_an_emulators_times_are_not_shown(measurements: list[Measurement], measurement: Make) -> None:
    row = make_rows([*measurements, measurement(emulated=True)])[-1]
    assert (row.p50_ms, row.p99_ms, row.speed) == (None, None, None)
    assert row.flags[0].startswith("emulated")


def test_speeds_are_not_made_across_devices(measurements: list[Measurement], measurement: Make) -> None:
    other = measurements[0].device.model_copy(update={"cpu": "Cortex-A76"})
    assert make_rows([*measurements, measurement(device=other)])[-1].speed is None


def test_a_file_without_accuracy_has_a_dash(measurement: Make) -> None:
    assert "| - |" in render_markdown(make_rows([measurement(accuracy=None)]))


def test_markdown_has_as_many_cells_in_every_line(measurements: list[Measurement], measurement: Make) -> None:
    odd = measurement(name="a | b", conditions=Conditions(stable=False))
    lines = render_markdown(make_rows([*measurements, odd])).splitlines()
    table = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    assert len(table) == len(measurements) + 3
    assert {line.count("|") for line in table} == {8}


def test_json_reads_back_as_the_rows(measurements: list[Measurement]) -> None:
    rows = make_rows(measurements)
    assert [Row.model_validate(value) for value in json.loads(render_json(rows))] == rows


@given(st.floats(0.0051, 1e6))
def test_a_figure_keeps_three_digits_or_a_hundredth(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, rel=0.0051, abs=0.00501)
    assert "e" not in number(value)


def test_another_metric_gives_its_name(measurement: Make) -> None:
    score = Accuracy(value=0.71, low=0.68, high=0.74, examples=500, metric="char F1")
    assert "| char F1 % |" in render_markdown(make_rows([measurement(accuracy=score)]))
    both = make_rows([measurement(accuracy=score), measurement()])
    assert "| score % |" in render_markdown(both)
    pearson = score.model_copy(update={"metric": "pearson", "value": -0.1, "low": -0.2})
    text = render_markdown(make_rows([measurement(accuracy=pearson)]))
    assert "| pearson x100 |" in text
    assert "| -10.0 (-20.0–74.0) |" in text


def test_instructions_stand_in_for_times(counted: Callable[[float], list[Measurement]]) -> None:
    text = render_markdown(make_rows(counted(1)))
    assert text.splitlines()[0] == "| | accuracy % | M instr. | file MB |"
    assert "| TFLite int8 | 86.3 (83.9–88.3) | 130 | 18.9 |" in text
    assert "(every file)" in text


def test_what_any_row_has_gets_a_column(measurement: Make) -> None:
    energy = Interval(value=41.2, low=40.0, high=42.0)
    offline = measurement(
        name="offline",
        batch=8,
        scenario="offline",
        throughput_per_second=812.0,
        tokenise_ms=energy,
        energy_mj=energy,
        device_memory_mb=512.0,
    )
    text = render_markdown(make_rows([measurement(), offline]))
    assert text.splitlines()[0] == (
        "| | accuracy % | p50 ms | p99 ms | a second | mJ | peak MB | GPU MB | file MB | speed |"
    )
    assert "offline, batch 8, 64 tokens, 2 threads" in text
    assert "turning a text into tokens takes 41 ms more" in text
    # A batch of eight takes longer than a single text, which says nothing of speed.
    assert make_rows([measurement(), offline])[1].speed is None


def test_it_is_said_when_no_gpu_was_measured(measurements: list[Measurement], measurement: Make) -> None:
    assert "; CUDA was not measured" in render_markdown(make_rows(measurements))
    both = make_rows([*measurements, measurement(runtime="pytorch-cuda-fp16")])
    assert "CUDA" not in render_markdown(both)
