"""The README's table of int8 files beside the peers' own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from int8_files import OURS
from int8_shipped import RUNTIMES, shipped

from edgedistil.bundle.formats import RUNTIME_TITLES
from edgedistil.report.table import number

_ON_OLDER = " †"


def int8_table(path: Path) -> str:
    """Returns a result of `int8.py` as a Markdown table, a runtime's files together, its fastest first.

    Of files that were scored and not timed, those made otherwise than what ships are left to the other tables.

    Args:
        path: The result.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    rows = _different([row for row in record["rows"] if "speed" in row or not _variant(row)])
    fp32 = next(row for row in rows if row["title"] == "ONNX fp32")
    lines = [
        "| runtime | file | test accuracy % | against fp32, points | speed | size % |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for runtime, title in RUNTIME_TITLES.items():
        found = sorted((row for row in rows if row["runtime"] == runtime), key=lambda row: -row.get("speed", [0.0])[0])
        lines += [f"| {title} | {_cells(row, fp32)} |" for row in found]
    told = f"{record['tokens']} tokens, {record['threads']} threads, {record['machine']}"
    told += "; speed against fp32 in ONNX Runtime, none where a file was scored alone; intervals are 95 %"
    return "\n".join([*lines, "", f"batch 1, {told}"])


def _cells(row: dict[str, Any], fp32: dict[str, Any]) -> str:
    apart = against(row) if row is not fp32 else "-"
    share = f"{100 * row['bytes'] / fp32['bytes']:.0f}"
    return " | ".join([_name(row), f"{100 * row['test']['accuracy'][0]:.1f}", apart, _speed(row), share])


def _different(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows without those of a variant that is the very file which ships."""
    usual = {(row["sha256"], row["runtime"]) for row in rows if row["by"] == OURS and not _variant(row)}
    return [row for row in rows if not _variant(row) or (row["sha256"], row["runtime"]) not in usual]


def _name(row: dict[str, Any]) -> str:
    scheme: str = row["scheme"]
    if row["by"] != OURS:
        return f"{scheme} by {row['title'].split(' in OpenVINO')[0]}"
    return ", ".join(filter(None, (scheme, _variant(row))))


def _variant(row: dict[str, Any]) -> str:
    """Returns in which other way a file was made; nothing of one that ships."""
    variant: str = row["title"].partition(", ")[2]
    return variant


def against(row: dict[str, Any]) -> str:
    """Returns how many points a file is from fp32 on test, with the interval."""
    difference, low, high = (100 * row["test"]["against_fp32"][name] for name in ("difference", "low", "high"))
    return f"{difference:+.2f} ({low:+.2f} to {high:+.2f})"


def _speed(row: dict[str, Any]) -> str:
    if "speed" not in row:
        return ""
    return f"{number(row['speed'][0])}x ({number(row['speed'][1])}–{number(row['speed'][2])})"


def shipped_table(folder: Path, names: Mapping[str, str]) -> str:
    """Returns what of each student ships in 8 bits in each runtime, ours and the peers', as a Markdown table.

    Args:
        folder: Of the results.
        names: Each result's name and its student's, as people say it.
    """
    lines = [
        "| student | runtime | file | against fp32, points | speed | peers' | against fp32, points | speed |",
        "|---|---|---|---:|---:|---|---:|---:|",
    ]
    records = {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in names}
    for name, title in names.items():
        record = records[name]
        for runtime in RUNTIMES:
            cells = [f"{title}{_ON_OLDER if _without_vnni(record) else ''}", RUNTIME_TITLES[runtime]]
            for ours in (True, False):
                row = shipped(record, runtime, ours=ours)
                cells += [_name(row), against(row), _speed(row)] if row else ["", "", ""]
            lines.append(f"| {' | '.join(cells)} |")
    told = ["test splits", "the file of each runtime that dev prefers of those timed", "intervals are 95 %"]
    told += [f"{_ON_OLDER.strip()}: an x86 without VNNI"] if any(map(_without_vnni, records.values())) else []
    return "\n".join([*lines, "", "; ".join(told)])


def _without_vnni(record: dict[str, Any]) -> bool:
    """Tells whether a result says that it was made on an x86 whose 8-bit products need weights of 7 bits."""
    flags = record.get("flags", [])
    return "avx2" in flags and not any("vnni" in flag or "amx_int8" in flag for flag in flags)
