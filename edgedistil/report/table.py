"""The table: a row a file, with every interval beside its figure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgedistil.bench.measurement import Accuracy, Interval, Measurement, speedup
from edgedistil.bundle.records import Record
from edgedistil.report.conditions import device_of, flags_of, incomparable, setting_of


class Row(Record):
    """One measured file."""

    name: str
    format: str
    runtime: str
    """Name and version."""
    accuracy: Accuracy | None
    p50_ms: Interval | None
    """None where the processor was emulated, and so for every time, memory, energy and speed."""
    p99_ms: Interval | None
    tokenise_ms: Interval | None = None
    throughput_per_second: float | None = None
    energy_mj: Interval | None = None
    instructions: dict[str, int] | None = None
    """Instructions an inference, by kind; an emulator's."""
    peak_memory_mb: float | None
    device_memory_mb: float | None = None
    """An accelerator's."""
    size_mb: float
    speed: Interval | None
    """How many times as fast as the first row; None on another device or where it was run otherwise."""
    flags: list[str]
    batch: int = 1
    setting: str
    """Scenario, batch, tokens, threads."""
    device: str
    """What it ran on, in one line."""


def make_rows(measurements: Sequence[Measurement]) -> list[Row]:
    """Makes the rows of a table, in the order given; the first is what speeds are held against.

    Args:
        measurements: Any; speeds between files of one interleaved session are compared round by round.
    """
    return [_row(made, measurements[0]) for made in measurements]


def _row(made: Measurement, first: Measurement) -> Row:
    comparable = incomparable(made, first) is None
    real = not made.emulated
    return Row(
        name=made.name,
        format=made.format,
        runtime=f"{made.runtime} {made.runtime_version}",
        accuracy=made.accuracy,
        p50_ms=made.p50_ms if real else None,
        p99_ms=made.p99_ms if real else None,
        tokenise_ms=made.tokenise_ms if real else None,
        throughput_per_second=made.throughput_per_second if real else None,
        energy_mj=made.energy_mj if real else None,
        instructions=made.instructions,
        peak_memory_mb=made.peak_memory_mb if real else None,
        device_memory_mb=made.device_memory_mb if real else None,
        size_mb=made.bytes / 1e6,
        speed=ONE if made is first and comparable else speedup(made, first) if comparable else None,
        flags=flags_of(made),
        batch=made.batch,
        setting=setting_of([made]),
        device=device_of([made])[0],
    )


ONE = Interval(value=1.0, low=1.0, high=1.0)
"""The first row's own speed."""


def number(value: float) -> str:
    """Returns a figure with as many digits as say something: 3.42, 18.6, 131."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def metric_of(rows: Sequence[Row]) -> str:
    """Returns the heading of the scores: the metric where all have the same, with the scale it is shown in."""
    names = list(dict.fromkeys(row.accuracy.metric for row in rows if row.accuracy))
    if not names:
        return "accuracy %"
    return scaled(names[0]) if len(names) == 1 else "score %"


def scaled(metric: str) -> str:
    """Returns a metric's name with the scale it is shown in: a share in per cent, a correlation a hundredfold."""
    return f"{metric} x100" if metric == "pearson" else f"{metric} %"


def accuracy_text(row: Row) -> tuple[str, str]:
    """Returns a row's score in per cent and its interval."""
    made = row.accuracy
    if made is None:
        return "-", ""
    return f"{100 * made.value:.1f}", f"{100 * made.low:.1f}–{100 * made.high:.1f}"


def speed_text(row: Row) -> tuple[str, str]:
    """Returns a row's speed against the first row and its interval, which the first row itself has not."""
    if row.speed is None:
        return "-", ""
    if row.speed == ONE:
        return "1x", ""
    return f"{number(row.speed.value)}x", f"{number(row.speed.low)}–{number(row.speed.high)}"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        heading: What stands above it.
        cell: A row's figure and its interval, which may be empty.
        timed: Whether a row's flags speak against it.
        wide: Whether it needs a line of its own on a phone.
    """

    heading: str
    cell: Callable[[Row], tuple[str, str]]
    timed: bool = False
    wide: bool = False


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """Returns the table's columns: the usual ones, and those of which any row has something to tell."""
    counted = any(row.instructions for row in rows)
    timed = any(row.p50_ms for row in rows) or not counted
    return [
        Column(metric_of(rows), accuracy_text, wide=True),
        *([Column("p50 ms", lambda row: _value(row.p50_ms), timed=True)] if timed else []),
        *([Column("p99 ms", lambda row: _value(row.p99_ms), timed=True)] if timed else []),
        *([Column("M instr.", _instructions)] if counted else []),
        # One by one, throughput is latency told once more.
        *(
            [Column("a second", _throughput)]
            if any(row.throughput_per_second and row.batch > 1 for row in rows)
            else []
        ),
        *([Column("mJ", lambda row: _value(row.energy_mj))] if any(row.energy_mj for row in rows) else []),
        *([Column("peak MB", lambda row: (_plain(row.peak_memory_mb), ""))] if timed else []),
        *([Column("GPU MB", _device_memory)] if any(row.device_memory_mb for row in rows) else []),
        Column("file MB", lambda row: (number(row.size_mb), "")),
        *([Column("speed", speed_text, wide=True)] if timed else []),
    ]


def _value(interval: Interval | None) -> tuple[str, str]:
    return ("-" if interval is None else number(interval.value)), ""


def _plain(value: float | None) -> str:
    return "-" if value is None else number(value)


def _instructions(row: Row) -> tuple[str, str]:
    return _plain(row.instructions["total"] / 1e6 if row.instructions else None), ""


def _throughput(row: Row) -> tuple[str, str]:
    return _plain(row.throughput_per_second), ""


def _device_memory(row: Row) -> tuple[str, str]:
    return _plain(row.device_memory_mb), ""


def cells_of(columns: Sequence[Column], row: Row) -> list[tuple[str, str]]:
    """Returns a row's figures with their intervals, times marked where something speaks against them."""
    found = []
    for column in columns:
        value, interval = column.cell(row)
        marked = column.timed and row.flags and value != "-"
        found.append((value + "*" if marked else value, interval))
    return found


def notes(rows: Sequence[Row]) -> list[str]:
    """Returns what stands below a table: how it was run, and every flag with the rows it is about."""
    settings = list(dict.fromkeys(row.setting for row in rows))
    lines = [f"{'; '.join(settings)}; intervals are 95 %{tokenising(rows)}{without_cuda(rows)}"] if rows else []
    return lines + advice(rows) + [f"* {line}" for line in flag_lines([(row.name, row.flags) for row in rows])]


def advice(rows: Sequence[Row]) -> list[str]:
    """Returns what whoever asked for int8 on the plain CUDA provider should know: it has few kernels."""
    names = [row.name for row in rows if row.runtime.startswith("onnxruntime-cuda") and "int8" in row.format]
    if not names:
        return []
    told = "int8 in ONNX Runtime on CUDA is slower than fp16, as few of its nodes have kernels there: choose onnx-fp16"
    return [f"{told} ({', '.join(names)})"]


def tokenising(rows: Sequence[Row]) -> str:
    """Returns what a text costs before any file sees it: the same for all files, so no column of theirs."""
    known = [row.tokenise_ms.value for row in rows if row.tokenise_ms]
    return f"; turning a text into tokens takes {max(known):.2g} ms more" if known else ""


def without_cuda(rows: Sequence[Row]) -> str:
    """Returns that no file was run on an NVIDIA GPU, where that is so: it is then not known how it would do."""
    return "" if any("cuda" in row.runtime or "tensorrt" in row.runtime for row in rows) else "; CUDA was not measured"


def flag_lines(flags: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Returns a line a flag with the names that it is about.

    Args:
        flags: Of every row, its name and what speaks against it.
    """
    flagged: dict[str, list[str]] = {}
    for name, found in flags:
        for flag in found:
            flagged.setdefault(flag, []).append(name)
    return [
        f"{flag} ({'every file' if len(names) == len(flags) > 1 else ', '.join(names)})"
        for flag, names in flagged.items()
    ]


def render_table(rows: Sequence[Row]) -> Table:
    """Returns the table for a terminal of 100 columns or more."""
    columns = columns_of(rows)
    table = Table(box=SIMPLE_HEAD, caption=Text("\n".join(notes(rows))), caption_justify="left", pad_edge=False)
    table.add_column("", overflow="fold", style="bold")
    for column in columns:
        table.add_column(column.heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(Text(row.name), *[with_interval(*cell) for cell in cells_of(columns, row)])
    return table


def with_interval(value: str, interval: str) -> Text:
    """Returns a terminal's cell: the figure, and dimly its interval."""
    return Text.assemble(value, (f" {interval}", "dim") if interval else "")


def render_markdown(rows: Sequence[Row]) -> str:
    """Returns the table and its notes as Markdown."""
    columns = columns_of(rows)
    lines = [f"| | {' | '.join(column.heading for column in columns)} |", f"|---|{'---:|' * len(columns)}"]
    for row in rows:
        cells = [f"{value} ({interval})" if interval else value for value, interval in cells_of(columns, row)]
        lines.append(f"| {markdown_cell(row.name)} | {' | '.join(map(markdown_cell, cells))} |")
    lines += [""] + [line.replace("*", "\\*", 1) + "  " for line in notes(rows)]
    return "\n".join(lines).rstrip() + "\n"


def markdown_cell(text: str) -> str:
    """Returns a text that cannot break a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("*", "\\*")


def render_json(rows: Sequence[Row]) -> str:
    """Returns the rows as a JSON list, in the units that the keys name."""
    return json.dumps([row.model_dump(mode="json") for row in rows], indent=1) + "\n"
