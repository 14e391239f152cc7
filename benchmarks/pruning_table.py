"""The README's table of pruned models: accuracy and measured speed, a method a row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pruning_methods import METHODS

from edgedistil.bundle.formats import FORMATS

_KINDS = {"one-shot": "not trained again", "recovered": "distilled for one more pass"}


def pruning_table(path: Path) -> str:
    """Returns a result of `pruning.py` as a Markdown table; what was not measured is left empty.

    Args:
        path: The result.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    rows = [row for row in record["rows"] if row["start"] == "student"]
    speeds = sorted({row["asked"] for row in rows})
    lines = [
        f"| runtime | | blocks | {' | '.join(f'asked {speed:g}x' for speed in speeds)} |",
        f"|---|---|---|{'---:|' * len(speeds)}",
    ]
    for name in dict.fromkeys(row["format"] for row in rows):
        for kind, title in _KINDS.items():
            for method in METHODS:
                found = {
                    row["asked"]: row
                    for row in rows
                    if (row["format"], row["kind"], row["method"]) == (name, kind, method)
                }
                if found:
                    cells = " | ".join(_cell(found.get(speed)) for speed in speeds)
                    lines.append(f"| {FORMATS[name].title} | {title} | {method} | {cells} |")
    student = ", ".join(
        f"{100 * row['student_accuracy']:.1f} % in {FORMATS[name].title}"
        for name, row in {row["format"]: row for row in rows}.items()
    )
    told = f"test accuracy % (speed as measured); the student has {student}; {record['machine']}"
    return "\n".join([*lines, "", told])


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    passes = row["trained"]["epochs"] if row["trained"] else 1
    more = f", {passes:g} passes" if passes != 1 else ""
    return f"{100 * row['accuracy'][0]:.1f} ({row['measured']:.2f}x{more})"
