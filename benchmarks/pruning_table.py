"""The table of pruned models: accuracy and measured speed, a method a row; the README's is the short one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pruning_methods import METHODS

from edgedistil.bundle.formats import FORMATS

_KINDS = {"one-shot": "not trained again", "recovered": "distilled once more"}


_SHORT = ("obs", "obs by default", "uniform obs", "uniform obs refitted", "fewer layers")


def pruning_table(path: Path, short: bool = False) -> str:
    """Returns a result of `pruning.py` as a Markdown table; what was not measured is left empty.

    Args:
        path: The result.
        short: Only the runtime that the models were searched for, one score, and what it is better than.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    rows = [row for row in record["rows"] if not short or _is_short(row)]
    speeds = sorted({row["asked"] for row in rows})
    lines = [
        f"| runtime | | blocks | {' | '.join(f'asked {speed:g}x' for speed in speeds)} |",
        f"|---|---|---|{'---:|' * len(speeds)}",
    ]
    for name in dict.fromkeys(row["format"] for row in rows):
        for kind, words in _KINDS.items():
            of_kind = [row for row in rows if (row["format"], row["kind"]) == (name, kind)]
            for method in sorted({called(row) for row in of_kind}, key=_order):
                found = {row["asked"]: row for row in of_kind if called(row) == method}
                cells = " | ".join(_cell(found.get(speed)) for speed in speeds)
                lines.append(f"| {FORMATS[name].title} | {words} | {method} | {cells} |")
    student = ", ".join(
        f"{100 * row['student_accuracy']:.1f} % in {FORMATS[name].title}"
        for name, row in {row["format"]: row for row in rows}.items()
    )
    told = f"test accuracy % (speed as measured); the student has {student}; {record['machine']}"
    return "\n".join([*lines, "", told])


def _is_short(row: dict[str, Any]) -> bool:
    return row["format"] == row["made_for"] and row["method"].partition(",")[0] in _SHORT


def called(row: dict[str, Any]) -> str:
    """Returns what a row's way of pruning is called."""
    return str(row["method"]) + ("" if row["start"] == "student" else ", from the teacher")


def _order(title: str) -> tuple[int, str]:
    return [*METHODS].index(title.partition(",")[0]), title


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"{100 * row['accuracy'][0]:.1f} ({row['measured']:.2f}x)"
