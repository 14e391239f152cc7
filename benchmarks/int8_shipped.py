"""Which 8-bit file would ship, by its dev score alone, and what it loses on test: ours, and the peers'."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import Figure
from int8_files import OURS

RUNTIMES = ("onnxruntime", "openvino", "litert")
KINDS = ("ONNX", "TFLite")
_EIGHT_BITS = ("dynamic_wi8_afp32", "static_wi8_ai8")


def shipped(record: dict[str, Any], runtime: str, *, ours: bool) -> dict[str, Any] | None:
    """Returns the timed row that dev prefers in a runtime, the smaller of equals; None where there is none.

    Args:
        record: A result of `int8.py`.
        runtime: The runtime's name.
        ours: Of our files; or of the peers'.
    """
    rows = [
        row
        for row in record["rows"]
        if row["runtime"] == runtime
        and (row["by"] == OURS) == ours
        and row["scheme"] in _EIGHT_BITS
        and "," not in row["title"]
        and "speed" in row
    ]
    return max(rows, key=lambda row: (row["dev"]["accuracy"][0], -row["bytes"]), default=None)


def worst_loss(file: str) -> Callable[[Path], Figure]:
    """Returns the points of the test score that a runtime's shipped file is below fp32; of the worst runtime."""

    def compute(folder: Path) -> Figure:
        record = json.loads((folder / file).read_text(encoding="utf-8"))
        rows = [row for runtime in RUNTIMES if (row := shipped(record, runtime, ours=True))]
        found = min((row["test"]["against_fp32"] for row in rows), key=lambda each: each["difference"])
        return Figure(-100 * found["difference"], (-100 * found["high"], -100 * found["low"]))

    return compute


def largest_share(file: str) -> Callable[[Path], Figure]:
    """Returns the largest of our files wholly in 8 bits, in per cent of the fp32 file of its kind."""

    def compute(folder: Path) -> Figure:
        rows = json.loads((folder / file).read_text(encoding="utf-8"))["rows"]
        fp32 = {name: next(row["bytes"] for row in rows if row["title"] == f"{name} fp32") for name in KINDS}
        # A target may leave layers in fp32, as many as the score asks for.
        whole = [row for row in rows if not row["title"].endswith(", target")]
        own = [row for row in whole if row["by"] == OURS and row["scheme"] in _EIGHT_BITS]
        return Figure(max(100 * row["bytes"] / fp32[row["title"].split()[0]] for row in own))

    return compute
