"""Two runs or two devices side by side, with ratios where the figures may be held against one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgedistil.bench.measurement import Interval, Measurement, speedup
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.records import Record
from edgedistil.report.conditions import device_of, flags_of, incomparable, setting_of
from edgedistil.report.sources import Source
from edgedistil.report.table import flag_lines, markdown_cell, number, scaled, with_interval


class Line(Record):
    """One quantity of one file, on every side."""

    quantity: str
    """With its unit."""
    values: list[Interval | None]
    """One a side; None where it was not measured, or says nothing."""
    ratios: list[Interval | None]
    """Each side's value over the first's, for a score its difference in points; None where it would mislead."""
    difference: bool = False
    """Whether `ratios` are differences."""


class Case(Record):
    """One file on every side."""

    title: str
    lines: list[Line]
    reasons: list[str | None]
    """Why a side's times are not held against the first's."""


class Comparison(Record):
    """Everything that two or more sides measured."""

    sides: list[str]
    devices: list[list[str]]
    settings: list[str]
    cases: list[Case]
    notes: list[str]
    """What the ratios are, and why some are not there."""
    flags: list[str]
    """What speaks against the times of a side."""


_Side = dict[Hashable, Measurement]


def compare(sources: Sequence[Source]) -> Comparison:
    """Sets sources side by side, file by file; files are told by their part in the run, format, runtime and setting.

    A file that no other side ran in the same way stands beside theirs of its part and format, in their order.

    Args:
        sources: Two or more; ratios are against the first.
    """
    keyed = _keyed([source.measurements for source in sources])
    keys = dict.fromkeys(key for side in keyed for key in side)
    cases = _numbered([_case([side.get(key) for side in keyed]) for key in keys])
    return Comparison(
        sides=[source.name for source in sources],
        devices=[device_of(source.measurements) for source in sources],
        settings=[setting_of(source.measurements) for source in sources],
        cases=cases,
        notes=_notes(sources, cases),
        flags=[f"{source.name}: {flag}" for source in sources for flag in flag_lines(_flags(source))],
    )


def _keyed(sides: Sequence[Sequence[Measurement]]) -> list[_Side]:
    """Returns each side's measurements by what they are held against the others' by."""
    run = Counter(key for side in sides for key in {(_kind(made), _setting(made)) for made in side})
    keyed: list[_Side] = []
    for side in sides:
        seen: Counter[Hashable] = Counter()
        found: _Side = {}
        for made in side:
            exact = (_kind(made), _setting(made))
            shared = run[exact] > 1 and exact not in found
            seen[_kind(made)] += not shared
            found[exact if shared else (_kind(made), seen[_kind(made)])] = made
        keyed.append(found)
    return keyed


def _kind(made: Measurement) -> tuple[str, str]:
    return next((name for name in ("teacher", "student") if made.bundle.endswith(f"-{name}")), ""), made.format


def _setting(made: Measurement) -> tuple[str, int, int, int, str]:
    return made.runtime, made.threads, made.sequence_length, made.batch, made.scenario


def _case(sides: Sequence[Measurement | None]) -> Case:
    first = sides[0]
    shown = next(made for made in sides if made)
    role, name = _kind(shown)
    title = FORMATS[name].title_in(shown.runtime) if name in FORMATS else name
    reasons = [None if first is None or made is None else incomparable(made, first) for made in sides[1:]]
    lines = [line for line in _lines(sides, reasons) if any(line.values)]
    return Case(title=f"{role}, {title}" if role else title, lines=lines, reasons=reasons)


def _numbered(cases: Sequence[Case]) -> list[Case]:
    """Returns cases with a number behind a title that others have had, as when threads are swept."""
    seen: Counter[str] = Counter()
    numbered = []
    for case in cases:
        seen[case.title] += 1
        number_of = seen[case.title]
        numbered.append(case if number_of == 1 else case.model_copy(update={"title": f"{case.title} ({number_of})"}))
    return numbered


def _lines(sides: Sequence[Measurement | None], reasons: Sequence[str | None]) -> Iterable[Line]:
    real = [made if made and not made.emulated else None for made in sides]
    yield _score(sides)
    yield Line(
        quantity="p50 ms",
        values=[made.p50_ms if made else None for made in real],
        ratios=[_slower(real[0], made, reason) for made, reason in zip(real[1:], reasons, strict=True)],
    )
    yield _plain("p99 ms", [made.p99_ms if made else None for made in real], [True for _ in reasons])
    counted = [_exact(made.instructions["total"] / 1e6 if made and made.instructions else None) for made in sides]
    yield _plain("million instructions", counted, [_other_processor(sides[0], made) for made in sides[1:]])
    yield _plain("texts a second", [_exact(made.throughput_per_second if made else None) for made in real], reasons)
    yield _plain("energy mJ", [made.energy_mj if made else None for made in real], reasons)
    yield _plain("peak MB", [_exact(made.peak_memory_mb if made else None) for made in real], reasons)
    yield _plain("file MB", [_exact(made.bytes / 1e6 if made else None) for made in sides], [None for _ in reasons])


def _score(sides: Sequence[Measurement | None]) -> Line:
    """Returns the scores; a difference is given for the same metric on the same examples alone."""
    scores = [made.accuracy if made else None for made in sides]
    metric = next((score.metric for score in scores if score), "accuracy")
    first, base = scores[0], sides[0]
    return Line(
        quantity=scaled(metric),
        values=[
            Interval(value=100 * s.value, low=100 * s.low, high=100 * s.high) if s and s.metric == metric else None
            for s in scores
        ],
        ratios=[
            _exact(100 * (score.value - first.value))
            if first and score and base and made and score.metric == first.metric and made.labels == base.labels
            else None
            for score, made in zip(scores[1:], sides[1:], strict=True)
        ],
        difference=True,
    )


def _slower(first: Measurement | None, made: Measurement | None, reason: str | None) -> Interval | None:
    if first is None or made is None or reason:
        return None
    return speedup(first, made)


def _plain(quantity: str, values: Sequence[Interval | None], refused: Sequence[object]) -> Line:
    """Returns a line whose ratios are exact, those left out that are refused."""
    first = values[0]
    ratios = [
        _exact(value.value / first.value) if first and value and first.value and not reason else None
        for value, reason in zip(values[1:], refused, strict=True)
    ]
    return Line(quantity=quantity, values=list(values), ratios=ratios)


def _exact(value: float | None) -> Interval | None:
    return None if value is None else Interval(value=value, low=value, high=value)


def _other_processor(first: Measurement | None, made: Measurement | None) -> bool:
    if first is None or made is None:
        return True
    one, other = ((m.device.machine, m.device.cpu, m.threads, m.sequence_length, m.batch) for m in (first, made))
    return one != other


def _notes(sources: Sequence[Source], cases: Sequence[Case]) -> list[str]:
    lines = [f"ratios are against {sources[0].name}, differences of scores in points"]
    sessions = {made.session for source in sources for made in source.measurements}
    if len(sessions) > 1 and any(line.ratios for case in cases for line in case.lines if line.quantity == "p50 ms"):
        lines.append("times are of different sessions: a machine that has changed between them is part of a ratio")
    for index, source in enumerate(sources[1:]):
        reasons = dict.fromkeys(reason for case in cases if (reason := case.reasons[index]))
        lines += [f"{source.name}: times are not held against {sources[0].name}: {reason}" for reason in reasons]
    return lines


def _flags(source: Source) -> list[tuple[str, list[str]]]:
    return [(made.name, flags_of(made)) for made in source.measurements]


def value_text(value: Interval | None) -> tuple[str, str]:
    """Returns a figure and its interval, empty where it is exact."""
    if value is None:
        return "-", ""
    sides = "" if value.low == value.high else f"{number(value.low)}–{number(value.high)}"
    return number(value.value), sides


def ratio_text(line: Line, ratio: Interval | None) -> tuple[str, str]:
    """Returns a ratio, or a difference with its sign, and its interval, empty where it is exact."""
    if ratio is None:
        return "-", ""
    if line.difference:
        return (f"{ratio.value:+.1f}" if abs(ratio.value) >= 0.05 else "0.0"), ""
    if ratio.low == ratio.high:
        # Instructions and sizes are exact: a thousandth may be what is asked for.
        return f"{ratio.value:.3f}x", ""
    return f"{number(ratio.value)}x", f"{number(ratio.low)}–{number(ratio.high)}"


def headings(comparison: Comparison) -> list[str]:
    """Returns the columns: every side, then each side but the first against it."""
    sides = comparison.sides
    against = ["ratio"] if len(sides) == 2 else [f"{name}, ratio" for name in sides[1:]]
    return [*sides, *against]


def line_cells(line: Line) -> list[tuple[str, str]]:
    """Returns a line's figures and ratios, as `headings` has them."""
    return [*map(value_text, line.values), *(ratio_text(line, ratio) for ratio in line.ratios)]


def render_table(comparison: Comparison) -> Table:
    """Returns the comparison for a terminal."""
    table = Table(
        box=SIMPLE_HEAD,
        # Not as markup, which takes what stands in brackets for a style.
        caption=Text("\n".join([*comparison.notes, *comparison.flags])),
        caption_justify="left",
        pad_edge=False,
    )
    table.add_column("", overflow="fold", style="bold")
    table.add_column("")
    for heading in headings(comparison):
        table.add_column(Text(heading), justify="right")
    for case in comparison.cases:
        for index, line in enumerate(case.lines):
            cells = [with_interval(*cell) for cell in line_cells(line)]
            last = index == len(case.lines) - 1
            table.add_row(Text("" if index else case.title), line.quantity, *cells, end_section=last)
    return table


def render_markdown(comparison: Comparison) -> str:
    """Returns the comparison and its notes as Markdown."""
    columns = headings(comparison)
    lines = [f"| | | {' | '.join(map(markdown_cell, columns))} |", f"|---|---|{'---:|' * len(columns)}"]
    for case in comparison.cases:
        for index, line in enumerate(case.lines):
            cells = [f"{value} ({interval})" if interval else value for value, interval in line_cells(line)]
            title = "" if index else markdown_cell(case.title)
            lines.append(f"| {title} | {line.quantity} | {' | '.join(map(markdown_cell, cells))} |")
    for name, devices, setting in zip(comparison.sides, comparison.devices, comparison.settings, strict=True):
        lines += ["", f"{markdown_cell(name)}: {markdown_cell('; '.join([*devices, setting]))}"]
    return (
        "\n".join(
            [*lines, "", *(markdown_cell(note) + "  " for note in [*comparison.notes, *comparison.flags])]
        ).rstrip()
        + "\n"
    )


def render_json(comparison: Comparison) -> str:
    """Returns the comparison as JSON, in the units that the quantities name."""
    return comparison.model_dump_json(indent=1) + "\n"
