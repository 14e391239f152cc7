"""The page: one file with the picture, the table and everything behind them, which asks nothing of a network."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

import edgedistil
from edgedistil.bench.measurement import Measurement
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.manifest import StageRecord
from edgedistil.bundle.read import Bundle
from edgedistil.bundle.records import write_text
from edgedistil.bundle.usage import usage_of
from edgedistil.errors import UsageError
from edgedistil.report import compare, table
from edgedistil.report.conditions import device_of, setting_of
from edgedistil.report.curves import curves_of, draw_curves
from edgedistil.report.picture import by_instructions, draw, points_of
from edgedistil.report.sources import Source
from edgedistil.report.trials import tried_of

# More names than these cannot stand beside their points.
_MOST_NAMES = 12
# What only a run's own page, or only a comparison, has to show.
_NOTHING: dict[str, Any] = {
    "manifest": None,
    "summary": None,
    "stages": [],
    "curves": [],
    "tried": None,
    "commands": [],
    "comparison": None,
    "columns_compared": [],
}


def write_report(
    path: Path, measurements: Sequence[Measurement], bundle: Bundle | None = None, commands: Sequence[str] | None = None
) -> None:
    """Writes the report as one HTML file.

    Args:
        path: Where to; an older report is replaced.
        measurements: A row each; speeds are against the first.
        bundle: The bundle they belong to, for shape, parity and lineage.
        commands: What to type next; None makes them from the bundle's place.

    Raises:
        UsageError: When there are no measurements, or matplotlib is not installed.
        EdgeDistilError: When the file cannot be written.
    """
    write_text(path, render_report(measurements, bundle, commands))


def write_comparison(path: Path, sources: Sequence[Source]) -> None:
    """Writes several runs or devices side by side as one HTML file.

    Raises:
        UsageError: When matplotlib is not installed.
        EdgeDistilError: When the file cannot be written.
    """
    write_text(path, render_comparison(sources))


def render_report(
    measurements: Sequence[Measurement], bundle: Bundle | None = None, commands: Sequence[str] | None = None
) -> str:
    """Returns the report as HTML; see `write_report`."""
    if not measurements:
        raise UsageError("no measurements to report", cure="make them with: edgedistil bench BUNDLE")
    values = _measured(measurements) | {
        "title": bundle.manifest.name if bundle else Counter(made.bundle for made in measurements).most_common(1)[0][0],
        "manifest": bundle.manifest if bundle else None,
        "summary": _summary(table.make_rows(measurements)),
        "stages": _stages(bundle),
        "curves": _curves(bundle, measurements),
        "tried": tried_of(bundle),
        "commands": next_commands(bundle) if commands is None else commands,
    }
    return _page(values)


def render_comparison(sources: Sequence[Source]) -> str:
    """Returns several runs or devices side by side as HTML; see `write_comparison`."""
    named = [
        made.model_copy(update={"name": f"{source.name}: {made.name}"})
        for source in sources
        for made in source.measurements
    ]
    comparison = compare.compare(sources)
    values = _measured(named) | {
        "title": " against ".join([", ".join(comparison.sides[1:]), comparison.sides[0]]),
        "comparison": comparison,
        "columns_compared": compare.headings(comparison),
    }
    return _page(values)


def _measured(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Returns what a page says of measurements, whosesoever they are."""
    rows = table.make_rows(measurements)
    drawable = len(points_of(rows)) > 0
    return {
        "rows": rows,
        "columns": table.columns_of(rows),
        "metric": table.metric_of(rows).removesuffix(" %"),
        "by_instructions": by_instructions(rows),
        "one_device": len({row.device for row in rows}) == 1,
        "families": [row.format.partition("-")[0] for row in rows],
        "wide": draw(rows, width=8.6, height=4.6, name="wide", numbered=len(rows) > _MOST_NAMES) if drawable else "",
        "narrow": draw(rows, width=3.75, height=3.9, name="narrow", numbered=True) if drawable else "",
        "numbered": len(rows) > _MOST_NAMES,
        "devices": device_of(measurements),
        "setting": setting_of(measurements),
        "flags": table.notes(rows)[1:],
        "examples": max((row.accuracy.examples for row in rows if row.accuracy), default=0),
        "tokenising": table.tokenising(rows).removeprefix("; "),
        "cuda": table.without_cuda(rows).removeprefix("; "),
        "bars": _bars(rows),
        "started": min(made.started for made in measurements),
    }


def _page(values: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": table.number, "seconds": _seconds, "figure": _figure}
    environment.globals |= {
        "accuracy_text": table.accuracy_text,
        "cells_of": table.cells_of,
        "line_cells": compare.line_cells,
    }
    source = resources.files("edgedistil.report").joinpath("templates/report.html").read_text(encoding="utf-8")
    titles = {name: made.title for name, made in FORMATS.items()}
    return environment.from_string(source).render(
        _NOTHING | {"titles": titles, "version": edgedistil.__version__} | values
    )


def _bars(rows: Sequence[table.Row]) -> list[tuple[str, list[tuple[str, str, float]]]]:
    """Returns what is drawn as bars: a title, and of each row that has it the name, the family and the value."""
    bars: list[tuple[str, list[tuple[str, str, float]]]] = []
    for title, values in (
        ("Peak memory, MB", [row.peak_memory_mb for row in rows]),
        ("File, MB", [row.size_mb for row in rows]),
        ("Instructions, millions", [row.instructions["total"] / 1e6 if row.instructions else None for row in rows]),
    ):
        known = [
            (row.name, row.format.partition("-")[0], value)
            for row, value in zip(rows, values, strict=True)
            if value is not None
        ]
        if known:
            bars.append((title, known))
    return bars


def _curves(bundle: Bundle | None, measurements: Sequence[Measurement]) -> list[tuple[str, str]]:
    """Returns each training stage's name and picture."""
    if bundle is None:
        return []
    metric = next((made.accuracy.metric for made in measurements if made.accuracy), "score")
    return [
        (curves.stage, draw_curves(curves, name=f"curve-{number}", metric=metric))
        for number, curves in enumerate(curves_of(bundle.manifest.lineage))
    ]


def next_commands(bundle: Bundle | None) -> list[str]:
    """Returns what to type next with a bundle; nothing without one."""
    if bundle is None:
        return []
    place = bundle.folder
    if place.is_absolute() and place.is_relative_to(Path.cwd()):
        place = place.relative_to(Path.cwd())
    folder, name = shlex.quote(str(place)), bundle.manifest.name
    baseline = shlex.quote(f"benchmarks/baselines/{name}.json")
    return [
        f"edgedistil predict {folder} {usage_of(bundle.manifest).predict}",
        f"edgedistil bench {folder}",
        f"edgedistil baseline set {folder}",
        f"edgedistil gate {folder} --baseline {baseline}",
    ]


def _summary(rows: Sequence[table.Row]) -> dict[str, Any] | None:
    """Returns the fastest row's figures beside the first's: what a reader came for; None where none is faster."""
    faster = [row for row in rows[1:] if row.speed and row.speed.low > 1]
    if not faster:
        return None
    best = max(faster, key=lambda row: row.speed.value if row.speed else 0.0)
    first = rows[0]
    lost = 100 * (first.accuracy.value - best.accuracy.value) if first.accuracy and best.accuracy else None
    return {"best": best, "first": first, "lost": lost}


def _stages(bundle: Bundle | None) -> list[tuple[StageRecord, str]]:
    """Returns each stage with what came of it, in words."""
    if bundle is None:
        return []
    return [(stage, _told(stage.summary)) for stage in bundle.manifest.lineage]


def _told(summary: dict[str, Any]) -> str:
    plain = {name: value for name, value in summary.items() if isinstance(value, str | int | float)}
    return ", ".join(f"{name.replace('_', ' ')} {_figure(value)}" for name, value in plain.items())


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 99.95 else f"{value / 60:.1f} min"
