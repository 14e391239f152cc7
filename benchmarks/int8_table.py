"""The README's table of int8 files beside the peers' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from int8_files import OURS

from edgedistil.bundle.formats import RUNTIME_TITLES
from edgedistil.report.table import number


def int8_table(path: Path) -> str:
    """Returns a result of `int8.py` as a Markdown table, a runtime's files together, its fastest first.

    Args:
        path: The result; its files must have been scored and timed.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    rows = [row for row in record["rows"] if "speed" in row]
    fp32 = next(row for row in rows if row["title"] == "ONNX fp32")
    lines = [
        "| runtime | file | test accuracy % | against fp32, points | speed | size % |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for runtime, title in RUNTIME_TITLES.items():
        found = sorted((row for row in rows if row["runtime"] == runtime), key=lambda row: -row["speed"][0])
        lines += [f"| {title} | {_cells(row, fp32)} |" for row in found]
    told = f"{record['tokens']} tokens, {record['threads']} threads, {record['machine']}"
    return "\n".join([*lines, "", f"batch 1, {told}; speed against fp32 in ONNX Runtime; intervals are 95 %"])


def _cells(row: dict[str, Any], fp32: dict[str, Any]) -> str:
    test, share = row["test"], 100 * row["bytes"] / fp32["bytes"]
    difference = [100 * test["against_fp32"][name] for name in ("difference", "low", "high")]
    name = f"{row['scheme']}" if row["by"] == OURS else f"{row['scheme']} by {row['title'].split(' in OpenVINO')[0]}"
    accuracy = f"{100 * test['accuracy'][0]:.1f}"
    against = f"{difference[0]:+.2f} ({difference[1]:+.2f} to {difference[2]:+.2f})"
    speed = f"{number(row['speed'][0])}x ({number(row['speed'][1])}–{number(row['speed'][2])})"
    return " | ".join([name, accuracy, against if row is not fp32 else "-", speed, f"{share:.0f}"])
