"""The README's table of 8 bits at DistilBERT's size, a processor's runtimes together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from int8_shipped import RUNTIMES

from edgedistil.bundle.formats import RUNTIME_TITLES
from edgedistil.report.table import number

PROCESSORS = {"amx": "with AMX", "vnni": "with AVX-512 VNNI", "plain": "with AVX2"}
OTHERS = {"peers": "peers', of our fp32 file", "by_hand": "peers', by hand"}


def int8_speed_table(folder: Path, kinds: Mapping[str, str]) -> str:
    """Returns results of `int8_speed.py` as a Markdown table; a processor that has not been measured has no rows.

    Args:
        folder: Of the results.
        kinds: Each processor's kind, and what people call it.
    """
    heads = ["processor", "runtime", "ours", *(f"{title} | ours against it" for title in OTHERS.values())]
    lines = [f"| {' | '.join(heads)} |", f"|---|---|{'---:|' * (2 * len(OTHERS) + 1)}"]
    told = set()
    for kind, title in kinds.items():
        path = folder / f"speed-{kind}.json"
        if not path.is_file():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        settings = f"{record['tokens']} tokens, {record['threads']} threads"
        told.add(f"{settings}; medians of {record['sessions']} sessions, the least and the greatest in brackets")
        for runtime in RUNTIMES:
            best = record["best"][runtime]
            cells = [title, RUNTIME_TITLES[_opener(runtime, best["files"])], *_cells(best)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"speed against fp32 in ONNX Runtime, {'; or '.join(sorted(told))}"])


def _opener(runtime: str, fastest: Sequence[str]) -> str:
    """Returns the runtime by its whole name, which says where all are fastest with a hint."""
    hinted = f"{runtime}-bf16"
    return hinted if all(RUNTIME_TITLES.get(hinted, "none") in title for title in fastest) else runtime


def _cells(best: Mapping[str, Any]) -> list[str]:
    cells = [_spread(best["ours"])]
    for whose in OTHERS:
        cells += [_spread(best[whose]), _spread(best[f"ours_against_{whose}"])] if whose in best else ["", ""]
    return cells


def _spread(values: Sequence[float]) -> str:
    return f"{values[0]:.2f}x ({number(values[1])}–{number(values[2])})"
