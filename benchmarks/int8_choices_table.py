"""The tables of what the choices behind an int8 file do, over all students: smoothing, ranges, and residual sums."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean, median
from typing import Any

from edgedistil.bundle.formats import FORMATS

_FILES = {
    "ONNX int8": "onnx-int8",
    "ONNX static int8": "onnx-int8-static",
    "ONNX static int8 in OpenVINO": "onnx-int8-static",
    "TFLite int8": "tflite-int8",
    "TFLite static int8": "tflite-int8-static",
}
_RANGES = {"percentile": "percentiles", "minmax": "min-max", "entropy": "entropy"}
_PER_CHANNEL = "optimum-cli --per_channel"


@dataclass(frozen=True)
class _Pair:
    """A student's file in a runtime, made without smoothing and with it.

    Attributes:
        plain: Its row in the result, made without.
        smooth: Its row, made with.
        by_logits: Whether `smooth: auto` ships the smoothed one.
        slower: The per cent that smoothing costs of the speed; None where the two were not timed.
    """

    plain: Mapping[str, Any]
    smooth: Mapping[str, Any]
    by_logits: bool
    slower: float | None

    @property
    def by_dev(self) -> bool:
        return _points(self.smooth, "dev") > _points(self.plain, "dev")

    def loss(self, *, smoothed: bool) -> float:
        """Returns the points of the test score that the one or the other is below fp32."""
        return -_points(self.smooth if smoothed else self.plain, "test")


def smoothing_table(folder: Path, names: Mapping[str, str]) -> str:
    """Returns what each way to choose smoothing loses on test, and what smoothing costs, as a Markdown table.

    Args:
        folder: Of the results.
        names: Each result's name and its student's, as people say it.
    """
    records = _records(folder, names)
    pairs = {title: list(_pairs(records, title, made)) for title, made in _FILES.items()}
    lines = [
        "| file | pairs | not smoothed | as the logits choose | as dev's score would | all smoothed | slower by, % |",
        f"|---|{'---:|' * 6}",
    ]
    lines += [_smoothing_row(title, found) for title, found in pairs.items() if found]
    lines.append(_smoothing_row("all", list(chain.from_iterable(pairs.values()))))
    told = "mean points of the test score below fp32; slower: the median of the students, and the least and greatest"
    return "\n".join([*lines, "", told])


def _smoothing_row(title: str, pairs: Sequence[_Pair]) -> str:
    choices = [
        [pair.loss(smoothed=False) for pair in pairs],
        [pair.loss(smoothed=pair.by_logits) for pair in pairs],
        [pair.loss(smoothed=pair.by_dev) for pair in pairs],
        [pair.loss(smoothed=True) for pair in pairs],
    ]
    slower = [pair.slower for pair in pairs if pair.slower is not None]
    cost = f"{round(median(slower))} ({round(min(slower))} to {round(max(slower))})" if slower else ""
    return f"| {title} | {len(pairs)} | {' | '.join(f'{fmean(each):.2f}' for each in choices)} | {cost} |"


def _pairs(records: Mapping[str, dict[str, Any]], title: str, made: str) -> Iterator[_Pair]:
    for record in records.values():
        rows = {row["title"]: row for row in record["rows"]}
        plain, smooth = rows.get(f"{title}, plain"), rows.get(f"{title}, smooth")
        form = record["forms"].get(made)
        # A form without a distance does not run, one that parity refuses has no row: there was no choice.
        if plain and smooth and form and None not in (form["plain"], form["smoothed"]):
            yield _Pair(plain, smooth, form["smooth"], _slower(record["rows"], plain, smooth))


def _slower(rows: Sequence[Mapping[str, Any]], plain: Mapping[str, Any], smooth: Mapping[str, Any]) -> float | None:
    """Returns the per cent that a speed is less; of a file that was timed under several titles, the median's."""
    speeds = [
        [row["speed"][0] for row in rows if "speed" in row and (row["sha256"], row["runtime"]) == file]
        for file in ((one["sha256"], one["runtime"]) for one in (plain, smooth))
    ]
    return 100 * (median(speeds[0]) / median(speeds[1]) - 1) if all(speeds) else None


def _points(row: Mapping[str, Any], split: str) -> float:
    difference: float = row[split]["against_fp32"]["difference"]
    return 100 * difference


def ranges_table(folder: Path, names: Mapping[str, str]) -> str:
    """Returns how far other ranges put the logits from fp32's, of how far the default does, as a Markdown table.

    Args:
        folder: Of the results.
        names: As `smoothing_table`.
    """
    lines = ["| ranges | with `smooth: auto` | not smoothed |", "|---|---|---|"]
    records = {names[name]: record for name, record in _records(folder, names).items()}
    for ranges, called in _RANGES.items():
        lines.append(f"| {called} | {_ends(records, ranges, auto=True)} | {_ends(records, ranges, auto=False)} |")
    told = "times as far as with least squared errors: the nearest and the farthest of all students' calibrated files"
    return "\n".join([*lines, "", told])


def _ends(records: Mapping[str, dict[str, Any]], ranges: str, *, auto: bool) -> str:
    found = []
    for student, record in records.items():
        for made in ("onnx-int8-static", "tflite-int8-static"):
            ours = _distance(record["forms"].get(made), auto=auto)
            other = _distance(record["variants_forms"].get(ranges, {}).get(made), auto=auto)
            if ours and other:
                found.append((other / ours, f"{student} in {FORMATS[made].title}"))
    return " to ".join(f"{ratio:.2f} ({where})" for ratio, where in (min(found), max(found)))


def _distance(form: Mapping[str, Any] | None, *, auto: bool) -> float | None:
    if form is None:
        return None
    distance: float | None = form["smoothed" if auto and form["smooth"] else "plain"]
    return distance


def residuals_table(folder: Path, names: Mapping[str, str]) -> str:
    """Returns how fast ONNX's dynamic files are beside optimum-cli's of the same integers, as a Markdown table.

    A student whose file parity refuses where it is not smoothed has no row.

    Args:
        folder: Of the results.
        names: As `smoothing_table`.
    """
    lines = ["| student | ours, not smoothed | optimum-cli --per_channel | ours against it |", "|---|---:|---:|---:|"]
    for name, record in _records(folder, names).items():
        rows = {row["title"]: row for row in record["rows"]}
        if "ONNX int8, plain" not in rows:
            continue
        ours, theirs = rows["ONNX int8, plain"]["speed"], rows[_PER_CHANNEL]["speed"]
        cells = [f"{middle:.2f}x ({low:.2f}–{high:.2f})" for middle, low, high in (ours, theirs)]
        lines.append(f"| {names[name]} | {' | '.join(cells)} | {ours[0] / theirs[0]:.2f}x |")
    return "\n".join([*lines, "", "speed against fp32 in ONNX Runtime, each student's files in one interleaved run"])


def _records(folder: Path, names: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in names}
