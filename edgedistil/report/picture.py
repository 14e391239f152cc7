"""The picture: score against latency, as SVG that takes its colours from the page around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgedistil.bench.measurement import Accuracy, Interval
from edgedistil.errors import require
from edgedistil.report.labels import Box, place_labels
from edgedistil.report.table import Row, metric_of
from edgedistil.report.theme import LINE, ONNX, PAPER, SOFT, STYLE, TFLITE, TORCH, calm, to_svg

_FAMILIES = {"onnx": (ONNX, "o"), "tflite": (TFLITE, "^")}


@dataclass(frozen=True)
class Point:
    """A row that can be drawn: it has both a score and a cost."""

    name: str
    format: str
    accuracy: Accuracy
    cost: Interval


def by_instructions(rows: Sequence[Row]) -> bool:
    """Returns whether instructions stand for latency: where nothing was timed, and some were counted."""
    return not any(row.p50_ms for row in rows) and any(row.instructions for row in rows)


def points_of(rows: Sequence[Row], *, numbered: bool = False) -> list[Point]:
    """Returns the rows that can be drawn, each under its name or its number among all rows.

    The cost is the median latency in ms, or, where nothing was timed, millions of instructions, which are exact.
    """
    counted = by_instructions(rows)
    found = []
    for number, row in enumerate(rows, 1):
        cost = _counted(row) if counted else row.p50_ms
        if row.accuracy is not None and cost is not None and cost.low > 0:
            found.append(Point(str(number) if numbered else row.name, row.format, row.accuracy, cost))
    return found


def _counted(row: Row) -> Interval | None:
    if row.instructions is None:
        return None
    millions = row.instructions["total"] / 1e6
    return Interval(value=millions, low=millions, high=millions)


def frontier(points: Sequence[Point]) -> list[Point]:
    """Returns the points that no other beats in both cost and score, the cheapest first (Pareto's frontier)."""
    best, kept = -math.inf, []
    for point in sorted(points, key=lambda point: (point.cost.value, -point.accuracy.value)):
        if point.accuracy.value > best:
            best = point.accuracy.value
            kept.append(point)
    return kept


def draw(rows: Sequence[Row], *, width: float, height: float, name: str, numbered: bool = False) -> str:
    """Draws the score against median latency, with both 95 % intervals, on a logarithmic axis.

    Args:
        rows: The table's rows; those without score or cost are left out.
        width: Inches; at 96 pixels an inch the letters are of a page's size.
        height: Inches.
        name: Put before every id in the SVG, so that two pictures can stand in one page.
        numbered: Write the rows' numbers, from 1, instead of their names, where there is no room for these.

    Returns:
        An `<svg>` element.

    Raises:
        UsageError: When matplotlib is not installed.
    """
    require("matplotlib", "report")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    points = points_of(rows, numbered=numbered)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=96, layout="constrained")
        axes = figure.add_subplot()
        _scales(axes, points)
        calm(axes)
        what = "instructions an inference, millions" if by_instructions(rows) else "median latency, ms"
        axes.set_xlabel(f"{what} (logarithmic): less to the left", fontsize=9)
        axes.set_ylabel(metric_of(rows), fontsize=9)
        # What is best on one device is not on another.
        best = frontier(points) if len({row.device for row in rows}) == 1 else []
        if len(best) > 1:
            axes.step(
                [point.cost.value for point in best],
                [100 * point.accuracy.value for point in best],
                where="post",
                color=LINE,
                linestyle=(0, (4, 3)),
                linewidth=1.2,
                zorder=1,
            )
        for point in points:
            _mark(axes, point)
        _name(figure, axes, points)
        return to_svg(figure, name)


def _scales(axes: Any, points: Sequence[Point]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axes.set_xscale("log")
    if points:
        fastest = min(point.cost.low for point in points)
        slowest = max(point.cost.high for point in points)
        span = slowest / fastest
        axes.set_xlim(fastest / max(span**0.1, 1.3), slowest * max(span**0.22, 1.6))
        lowest = min(100 * point.accuracy.low for point in points)
        highest = max(100 * point.accuracy.high for point in points)
        above = max(0.12 * (highest - lowest), 0.5)
        axes.set_ylim(lowest - above, highest + above)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _look(point: Point) -> tuple[str, str]:
    """Returns the colour and the marker of a point's runtime."""
    return _FAMILIES.get(point.format.partition("-")[0], (TORCH, "s"))


def _mark(axes: Any, point: Point) -> None:
    colour, marker = _look(point)
    across, up = point.cost.value, 100 * point.accuracy.value
    axes.errorbar(
        across,
        up,
        xerr=[[across - point.cost.low], [point.cost.high - across]],
        yerr=[[up - 100 * point.accuracy.low], [100 * point.accuracy.high - up]],
        color=colour,
        marker=marker,
        markersize=8,
        markerfacecolor=colour if "int8" in point.format else PAPER,
        markeredgewidth=1.8,
        elinewidth=1.1,
        zorder=3,
    )


def _name(figure: Any, axes: Any, points: Sequence[Point]) -> None:
    """Writes each point's name where there is room for it, with a thin line to it where that is not beside it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patheffects import withStroke

    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    unit = figure.dpi / 72
    where = [tuple(axes.transData.transform((p.cost.value, 100 * p.accuracy.value))) for p in points]
    halo = [withStroke(linewidth=3, foreground=PAPER)]
    texts = [
        axes.text(0, 0, point.name, fontsize=9, color=_look(point)[0], zorder=5, path_effects=halo, parse_math=False)
        for point in points
    ]
    extents = [text.get_window_extent(renderer) for text in texts]
    frame = axes.get_window_extent(renderer)
    boxes = place_labels(
        [[spot, *_ends(axes, point)] for point, spot in zip(points, where, strict=True)],
        [(extent.width + 4 * unit, extent.height + 2 * unit) for extent in extents],
        [box for point, spot in zip(points, where, strict=True) for box in _covered(axes, point, spot, unit)],
        Box(frame.x0, frame.y0, frame.x1, frame.y1),
        unit,
    )
    back = axes.transData.inverted()
    for text, box, spot in zip(texts, boxes, where, strict=True):
        text.set_position(back.transform((box.left + 2 * unit, (box.bottom + box.top) / 2)))
        text.set_verticalalignment("center")
        near = (min(max(spot[0], box.left), box.right), min(max(spot[1], box.bottom), box.top))
        aligned = box.left <= spot[0] <= box.right
        if not aligned and math.dist(near, spot) > 14 * unit:
            ends = [back.transform(end) for end in (spot, near)]
            axes.plot(*zip(*ends, strict=True), color=SOFT, linewidth=0.7, zorder=2)


def _ends(axes: Any, point: Point) -> list[tuple[float, float]]:
    """Returns where the bar of a point's accuracy ends, in pixels."""
    ends = (point.accuracy.high, point.accuracy.low)
    return [tuple(axes.transData.transform((point.cost.value, 100 * end))) for end in ends]


def _covered(axes: Any, point: Point, spot: tuple[float, float], unit: float) -> list[Box]:
    low = axes.transData.transform((point.cost.low, 100 * point.accuracy.low))
    high = axes.transData.transform((point.cost.high, 100 * point.accuracy.high))
    size, thin = 6 * unit, 2 * unit
    return [
        Box(spot[0] - size, spot[1] - size, spot[0] + size, spot[1] + size),
        Box(low[0], spot[1] - thin, high[0], spot[1] + thin),
        Box(spot[0] - thin, low[1], spot[0] + thin, high[1]),
    ]
