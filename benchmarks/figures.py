"""How a promised figure is computed from committed results."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedistil.bench.measurement import Measurement, find, read_measurements, speedup


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % interval, where it has one."""

    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Promise:
    """A claim before it is measured; its fields are those of `Claim`."""

    id: str
    claim: str
    bar: str
    unit: str
    run: str
    file: str
    compute: Callable[[Path], Figure]

    @property
    def of_a_recipe(self) -> bool:
        """Returns whether the figure is of a recipe's run, rather than of a script's own result file."""
        return self.file in ("run.json", "measurements.jsonl")


def _measurement(folder: Path, name: str) -> Measurement:
    made = find(read_measurements(folder / "measurements.jsonl"), name)
    if made is None:
        raise SystemExit(f"{folder}: no row '{name}'")
    return made


def read_run(folder: Path) -> dict[str, Any]:
    """Returns the record of a recipe's run."""
    record: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return record


def speed(name: str) -> Callable[[Path], Figure]:
    """Returns the speed of a row against the teacher's, in one interleaved session."""

    def compute(folder: Path) -> Figure:
        ratio = speedup(_measurement(folder, name), _measurement(folder, "teacher, ONNX fp32"))
        return Figure(ratio.value, (ratio.low, ratio.high))

    return compute


def test_loss(name: str) -> Callable[[Path], Figure]:
    """Returns the points of test accuracy that a row is below the teacher, on the same examples."""

    def compute(folder: Path) -> Figure:
        row = next(row for row in read_run(folder)["test"] if row["name"] == name)["against_teacher"]
        return Figure(-100 * row["difference"], (-100 * row["high"], -100 * row["low"]))

    return compute


def minutes(folder: Path) -> Figure:
    """Returns the time of all stages together."""
    return Figure(sum(stage["seconds"] for stage in read_run(folder)["stages"]) / 60)


def kept(file: str, method: str = "best mix", having: str | None = None) -> Callable[[Path], Figure]:
    """Returns the share of the teacher's test score, in per cent, that students keep: the mean of their seeds.

    The interval is from the worst seed to the best. `having` chooses the rows in which a key of more text is set.
    """

    def compute(folder: Path) -> Figure:
        return _of_seeds([100 * student / teacher for teacher, student in _test_scores(folder / file, method, having)])

    return compute


def below(file: str, method: str = "best mix", having: str | None = None) -> Callable[[Path], Figure]:
    """Returns the points of the test score that students are below their teacher, as `kept` chooses the rows.

    The interval of one seed is that of its examples.
    """

    def compute(folder: Path) -> Figure:
        rows = _rows(folder / file, method, having)
        found = _of_seeds(
            [100 * (teacher - student) for teacher, student in _test_scores(folder / file, method, having)]
        )
        if len(rows) > 1 or "against_teacher" not in rows[0]:
            return found
        paired = rows[0]["against_teacher"]
        return Figure(found.value, (-100 * paired["high"], -100 * paired["low"]))

    return compute


def gain(file: str, having: str, plain: str | None = None) -> Callable[[Path], Figure]:
    """Returns the points of the test score that a key of more text brings a student, seeds apart.

    Args:
        file: Whose rows have the key.
        having: The key, such as `distil.unlabelled`.
        plain: The file of the rows without it; the same for None. Its seeds are those of the rows with it.
    """

    def compute(folder: Path) -> Figure:
        more = [student for _, student in _test_scores(folder / file, "best mix", having)]
        less = [student for _, student in _test_scores(folder / (plain or file), "best mix", None)]
        return _of_seeds([100 * (one - other) for one, other in zip(more, less, strict=False)])

    return compute


def _of_seeds(values: list[float]) -> Figure:
    return Figure(statistics.mean(values), (min(values), max(values)) if len(values) > 1 else None)


_MORE_TEXT = ("distil.unlabelled=", "general.text=")


def _rows(path: Path, method: str, having: str | None) -> list[dict[str, Any]]:
    """Returns a method's rows; those without more text where `having` is None."""
    found = []
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        more = [key for key in row["overrides"] if key.startswith(_MORE_TEXT)]
        if row["method"] == method and (any(key.startswith(f"{having}=") for key in more) if having else not more):
            found.append(row)
    return found


def _test_scores(path: Path, method: str, having: str | None) -> list[tuple[float, float]]:
    """Returns teacher's and student's test scores, a seed a pair; rows as `_rows` chooses them."""
    metric = f"test_{json.loads(path.read_text(encoding='utf-8'))['metric']}"
    return [(row["teacher"][metric], row["student"][metric]) for row in _rows(path, method, having)]


def value(file: str, *keys: str) -> Callable[[Path], Figure]:
    """Returns a number from a script's result file; a list of three is a value with its interval."""

    def compute(folder: Path) -> Figure:
        found: Any = json.loads((folder / file).read_text(encoding="utf-8"))
        for key in keys:
            found = found[key]
        if isinstance(found, list):
            return Figure(found[0], (found[1], found[2]))
        return Figure(float(found))

    return compute
