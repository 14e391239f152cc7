"""What is promised of pruning to a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from figures import Figure, Promise

_FILE = "sst2.json"
_LITERT = "tflite-int8"


def _rows(folder: Path, **wanted: Any) -> list[dict[str, Any]]:
    """Returns the rows of student models that were searched for LiteRT and are in it, with the given columns."""
    wanted = {"start": "student", "format": _LITERT, "made_for": _LITERT, **wanted}
    record = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    return [row for row in record["rows"] if all(row[key] == value for key, value in wanted.items())]


def lost(kind: str, asked: float, method: str = "obs") -> Callable[[Path], Figure]:
    """Returns the points of test accuracy that OBS at an asked speed is below the unpruned student's file."""

    def compute(folder: Path) -> Figure:
        (row,) = _rows(folder, kind=kind, method=method, asked=asked)
        difference, low, high = row["against_student"]
        return Figure(-100 * difference, (-100 * high, -100 * low))

    return compute


def farthest(folder: Path) -> Figure:
    """Returns how far the measured milliseconds of OBS's files are from those asked for, in per cent, at worst.

    One-shot and recovered files have the same sizes and were timed in sessions of their own: each counts.
    """
    rows = [row for row in _rows(folder) if row["method"].startswith("obs")]
    return Figure(max(100 * abs(row["asked"] / row["measured"] - 1) for row in rows))


def ahead_of_uniform(kind: str, method: str, uniform: str) -> Callable[[Path], Figure]:
    """Returns the least that a method is above a uniform removal, in points, over every asked speed."""
    return lambda folder: Figure(min(_differences(folder, kind, method, uniform)))


def _differences(folder: Path, kind: str, method: str, uniform: str) -> Iterator[float]:
    below = {row["asked"]: row["accuracy"][0] for row in _rows(folder, kind=kind, method=uniform)}
    for row in _rows(folder, kind=kind, method=method):
        yield 100 * (row["accuracy"][0] - below[row["asked"]])


def slowest_search(folder: Path) -> Figure:
    """Returns the seconds of the search alone, 12 layers, the slowest score's."""
    found = json.loads((folder / _FILE).read_text(encoding="utf-8"))["search"]
    return Figure(max(each["search"] for each in found.values()))


def _promise(name: str, claim: str, bar: str, unit: str, compute: Callable[[Path], Figure]) -> Promise:
    return Promise(f"prune.{name}", claim, bar, unit, "pruning", _FILE, compute)


PRUNING = [
    _promise(
        "2x",
        "SST-2, the 6-layer student made twice as fast in LiteRT int8, below it, test split; recovered by the recipe",
        "<= 0.7",
        "points",
        lost("recovered", 2.0, "obs, hidden states"),
    ),
    _promise(
        "3x",
        "The same at three times the speed, recovered over 80,000 unlabelled sentences as well, two passes",
        "<= 2.0",
        "points",
        lost("recovered", 3.0, "obs, more text"),
    ),
    _promise(
        "one-shot",
        "The same at 1.5 times the speed with no training afterwards",
        "<= 2.0",
        "points",
        lost("one-shot", 1.5),
    ),
    _promise(
        "asked",
        "Measured milliseconds of OBS's files at 1.5, 2, 3 and 4 times the speed from those asked for, the farthest",
        "<= 8.0",
        "%",
        farthest,
    ),
    _promise(
        "uniform-one-shot",
        "What a recipe without training gives, above a uniform removal that is refitted as well, least of all speeds",
        ">= 0.0",
        "points",
        ahead_of_uniform("one-shot", "obs by default", "uniform obs refitted"),
    ),
    _promise(
        "uniform-recovered",
        "What one that trains afterwards gives, above a uniform removal trained as well, least of all speeds",
        ">= 0.0",
        "points",
        ahead_of_uniform("recovered", "obs", "uniform obs"),
    ),
    _promise(
        "search",
        "Search over the blocks of 12 layers, once they are scored, the slowest score's",
        "<= 60.0",
        "s",
        slowest_search,
    ),
]
