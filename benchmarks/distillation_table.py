"""The table of distillation methods: what each keeps of its teacher's score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_METRICS = {"accuracy": "accuracy %", "pearson": "Pearson x 100", "char_f1": "character F1 %", "f1": "F1 %"}


def distillation_table(path: Path) -> str:
    """Returns a result of `distillation.py` as a Markdown table, a method a row, the best on dev first.

    The seconds of each training stay in the result: they were not taken in turns, and other work ran beside some.

    Args:
        path: The result.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    metric = record["metric"]
    rows = sorted(record["rows"], key=lambda row: -row["student"][f"dev_{metric}"])
    lines = [
        f"| method | dev {_METRICS[metric]} | test | of the teacher's test |",
        "|---|---:|---:|---:|",
    ]
    lines += [f"| {row['method']} | {_cells(row, metric)} |" for row in rows]
    teacher = rows[0]["teacher"][f"test_{metric}"]
    seeds = sorted({str(row["seed"]) for row in rows})
    told = f"the teacher has {100 * teacher:.1f} on test; seed {', '.join(seeds)}; {record['machine']}"
    return "\n".join([*lines, "", told])


def _cells(row: dict[str, Any], metric: str) -> str:
    dev, test, teacher = row["student"][f"dev_{metric}"], row["student"][f"test_{metric}"], row["teacher"]
    share = test / teacher[f"test_{metric}"]
    return f"{100 * dev:.1f} | {100 * test:.1f} | {100 * share:.1f} %"
