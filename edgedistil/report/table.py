"""The table: a row a file, with every interval beside its figure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgedistil.bench.measurement import Accuracy, Interval, Measurement, speedup
from edgedistil.bundle.records import Record
from edgedistil.report.conditions import flags_of, setting_of


class Row(Record):
    """One measured file."""

    name: str
    format: str
    runtime: str
    """Name and version."""
    accuracy: Accuracy | None
    p50_ms: Interval | None
    """None where the processor was emulated, and so for p99 and speed."""
    p99_ms: Interval | None
    peak_memory_mb: float
    size_mb: float
    speed: Interval | None
    """How many times as fast as the first row; None on another device."""
    flags: list[str]
    setting: str
    """Batch, tokens, threads."""


def make_rows(measurements: Sequence[Measurement]) -> list[Row]:
    """Makes the rows of a table, in the order given; the first is what speeds are held against.

    Args:
        measurements: Any; speeds between files of one interleaved session are compared round by round.
    """
    return [_row(made, measurements[0]) for made in measurements]


def _row(made: Measurement, first: Measurement) -> Row:
    comparable = not made.emulated and not first.emulated and made.device.same_device(first.device)
    same = made is first
    return Row(
        name=made.name,
        format=made.format,
        runtime=f"{made.runtime} {made.runtime_version}",
        accuracy=made.accuracy,
        p50_ms=None if made.emulated else made.p50_ms,
        p99_ms=None if made.emulated else made.p99_ms,
        peak_memory_mb=made.peak_memory_mb,
        size_mb=made.bytes / 1e6,
        speed=_ONE if same and comparable else speedup(made, first) if comparable else None,
        flags=flags_of(made),
        setting=setting_of([made]),
    )


_ONE = Interval(value=1.0, low=1.0, high=1.0)


def number(value: float) -> str:
    """Returns a figure with as many digits as say something: 3.42, 18.6, 131."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def accuracy_text(row: Row) -> tuple[str, str]:
    """Returns a row's accuracy in per cent and its interval."""
    made = row.accuracy
    if made is None:
        return "-", ""
    return f"{100 * made.value:.1f}", f"{100 * made.low:.1f}–{100 * made.high:.1f}"


def speed_text(row: Row) -> tuple[str, str]:
    """Returns a row's speed against the first row and its interval, which the first row itself has not."""
    if row.speed is None:
        return "-", ""
    if row.speed == _ONE:
        return "1x", ""
    return f"{number(row.speed.value)}x", f"{number(row.speed.low)}–{number(row.speed.high)}"


def latency_text(interval: Interval | None) -> str:
    """Returns a latency in ms, or a dash where it says nothing of a device."""
    return "-" if interval is None else number(interval.value)


_HEADINGS = ("accuracy %", "p50 ms", "p99 ms", "peak MB", "file MB", "speed")


def _cells(row: Row) -> list[tuple[str, str]]:
    mark = "*" if row.flags else ""
    return [
        accuracy_text(row),
        (latency_text(row.p50_ms) + mark, ""),
        (latency_text(row.p99_ms) + mark, ""),
        (number(row.peak_memory_mb), ""),
        (number(row.size_mb), ""),
        speed_text(row),
    ]


def notes(rows: Sequence[Row]) -> list[str]:
    """Returns what stands below a table: how it was run, and every flag with the rows it is about."""
    settings = list(dict.fromkeys(row.setting for row in rows))
    lines = [f"{'; '.join(settings)}; intervals are 95 %"] if rows else []
    flagged: dict[str, list[str]] = {}
    for row in rows:
        for flag in row.flags:
            flagged.setdefault(flag, []).append(row.name)
    return lines + [f"* {flag} ({', '.join(names)})" for flag, names in flagged.items()]


def render_table(rows: Sequence[Row]) -> Table:
    """Returns the table for a terminal of 100 columns or more."""
    table = Table(box=SIMPLE_HEAD, caption="\n".join(notes(rows)), caption_justify="left", pad_edge=False)
    table.add_column("", overflow="fold", style="bold")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        cells = [Text.assemble(value, (f" {interval}", "dim") if interval else "") for value, interval in _cells(row)]
        table.add_row(Text(row.name), *cells)
    return table


def render_markdown(rows: Sequence[Row]) -> str:
    """Returns the table and its notes as Markdown."""
    lines = [f"| | {' | '.join(_HEADINGS)} |", f"|---|{'---:|' * len(_HEADINGS)}"]
    for row in rows:
        cells = [f"{value} ({interval})" if interval else value for value, interval in _cells(row)]
        name = " ".join(row.name.split()).replace("|", "\\|")
        lines.append(f"| {name} | {' | '.join(cells).replace('*', chr(92) + '*')} |")
    lines += [""] + [line.replace("*", "\\*", 1) + "  " for line in notes(rows)]
    return "\n".join(lines).rstrip() + "\n"


def render_json(rows: Sequence[Row]) -> str:
    """Returns the rows as a JSON list, in the units that the keys name."""
    return json.dumps([row.model_dump(mode="json") for row in rows], indent=1) + "\n"
