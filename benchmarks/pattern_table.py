"""The table of LiteRT's block-sparse matrices: what they save, and what they cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_DENSE, _SPARSE = "zeros, XNNPACK", "block-sparse, LiteRT's own"
_WRONG = "block-sparse, XNNPACK"


def pattern_table(path: Path) -> str:
    """Returns a result of `block_sparse.py` as a Markdown table.

    Args:
        path: The result.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    titles = ["weights", "block", "zeros", "dense MB (compressed)", "block-sparse MB (compressed)", "dense ms"]
    titles += ["block-sparse ms", "speed", "right under XNNPACK"]
    lines = [f"| {' | '.join(titles)} |", f"|---|---|{'---:|' * (len(titles) - 2)}"]
    lines += [f"| {_cells(row)} |" for row in record["rows"]]
    told = "dense runs under XNNPACK, LiteRT's default; block-sparse under LiteRT's own kernels, all in turns"
    return "\n".join([*lines, "", told])


def _cells(row: dict[str, Any]) -> str:
    block = "x".join(str(size) for size in row["block"])
    sizes = [_size(row, name) for name in ("zeros", "block-sparse")]
    times = [f"{row['milliseconds'][name]:.1f}" for name in (_DENSE, _SPARSE)]
    right = "yes" if row["right"][_WRONG] else "no"
    return " | ".join([row["precision"], block, f"{row['sparsity']:.0%}", *sizes, *times, f"{row['gain']:.2f}x", right])


def _size(row: dict[str, Any], name: str) -> str:
    return f"{row['bytes'][name] / 1e6:.1f} ({row['compressed_bytes'][name] / 1e6:.1f})"
