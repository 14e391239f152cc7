"""Padded texts: that a file's answers heed its mask, and that every TFLite signature gives them.

Parity runs each text alone at its own length, where a mask hides nothing, and in TFLite in the smallest signature that
holds it. Others pad texts to a batch, and may take any signature.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.formats import FORMATS
from edgedistil.export.parity import PER_TOKEN, TOLERANCES, ParityError, rows_of
from edgedistil.quiet import silence

_ROWS = 8

Pair = tuple[np.ndarray, np.ndarray]


def check_padded(
    path: Path, format_name: str, reference: np.ndarray, evaluation: EvaluationSet, positions: int
) -> None:
    """Compares a file's answers to padded texts with the PyTorch model's, or, to texts cut short, with one another.

    Args:
        path: The exported file.
        format_name: Its format, a key of `TOLERANCES`.
        reference: As for `check_parity`.
        evaluation: Real text as token ids.
        positions: Longest text that the model takes, in tokens.

    Raises:
        ParityError: When a padded text cannot be run, or differs by more than the format may.
    """
    allowed = TOLERANCES[format_name]
    limit = allowed.limit(reference) * (allowed.farthest if evaluation.kind in PER_TOKEN else 1.0)
    try:
        with silence():
            runtime = runtimes.create(FORMATS[format_name].runtime, str(path), threads=1)
            worst = {
                place: float(np.max([np.abs(found - expected).max() for found, expected in pairs]))
                for place, pairs in _compared(runtime, reference, evaluation, positions)
            }
            runtime.close()
    except RunnerError as error:
        raise ParityError(f"it cannot run padded texts ({error})", where=FORMATS[format_name].title) from error
    for place, apart in worst.items():
        # Written, as is the maximum above, so that what is no number does not pass.
        if not apart <= limit:
            raise ParityError(
                f"{place}, it differs by up to {apart:.3g} in a logit (allowed {limit:.3g})",
                where=FORMATS[format_name].title,
                cure="ship another format, or report it",
            )


def _compared(
    runtime: runtimes.Runtime, reference: np.ndarray, evaluation: EvaluationSet, positions: int
) -> Iterator[tuple[str, list[Pair]]]:
    """Yields how texts are padded, and their logits beside those expected."""
    lengths = evaluation.lengths[: rows_of(reference, evaluation)]
    if not isinstance(runtime, runtimes.FixedLengths):
        rows = _spread(lengths, range(len(lengths)))
        width = min(positions, 2 * int(lengths[rows].max()))
        yield (
            f"padded to {width} tokens",
            _to_reference(runtime.run(*evaluation.batch(rows, width)), reference, evaluation, rows),
        )
        return
    # The longest first: the others may be held against it.
    for length in reversed(runtime.lengths):
        fitting = [row for row in range(len(lengths)) if lengths[row] <= length]
        rows = _spread(lengths, fitting or range(len(lengths)))
        batch = evaluation.batch(rows, length)
        found = runtime.run_at(length, *batch)
        pairs = (
            _to_reference(found, reference, evaluation, rows)
            if fitting
            else list(zip(found, runtime.run_at(runtime.lengths[-1], *batch), strict=True))
        )
        yield f"at signature length_{length}", pairs


def _to_reference(
    found: np.ndarray, reference: np.ndarray, evaluation: EvaluationSet, rows: Sequence[int]
) -> list[Pair]:
    if evaluation.kind not in PER_TOKEN:
        return [(one, reference[row]) for one, row in zip(found, rows, strict=True)]
    expected = [reference[evaluation.slice(row)] for row in rows]
    return [(one[: len(tokens)], tokens) for one, tokens in zip(found, expected, strict=True)]


def _spread(lengths: np.ndarray, rows: Sequence[int]) -> list[int]:
    """Returns a few rows, from the shortest to the longest."""
    ordered = sorted(rows, key=lambda row: int(lengths[row]))
    places = np.linspace(0, len(ordered) - 1, min(_ROWS, len(ordered))).round().astype(int)
    return [ordered[place] for place in places]
