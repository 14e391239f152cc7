"""Training rows: one token set, or several as one, without copying what lies on disk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgedistil.bench.runner.evaluation import NOT_SCORED, EvaluationSet
from edgedistil.distil.memory import release_pages
from edgedistil.errors import UsageError


class JoinedTokens:
    """Token sets of one kind, one after the other; each stays where it is.

    Args:
        parts: The sets, such as the labelled rows and then the unlabelled.

    Raises:
        UsageError: When the sets are of several kinds.
    """

    def __init__(self, parts: Sequence[EvaluationSet]) -> None:
        kinds = sorted({part.kind for part in parts})
        if len(kinds) != 1:
            raise UsageError(f"token sets of the kinds {', '.join(kinds) or 'none'} cannot be joined")
        self.parts = tuple(parts)
        self.kind = kinds[0]
        self._first_rows = np.cumsum([0, *(len(part) for part in parts)])
        ends = [np.asarray(part.offsets[1:]) for part in parts]
        before = np.cumsum([0, *(int(end[-1]) for end in ends)])
        shifted = [end + start for end, start in zip(ends, before[:-1], strict=True)]
        self.offsets = np.concatenate([np.zeros(1, dtype=np.int64), *shifted])

    def __len__(self) -> int:
        return int(self._first_rows[-1])

    def locate(self, index: int) -> tuple[EvaluationSet, int]:
        """Returns the set that a row is in, and its number there."""
        number = int(np.searchsorted(self._first_rows, index, side="right")) - 1
        return self.parts[number], int(index - self._first_rows[number])


TokenRows = EvaluationSet | JoinedTokens
"""What a model can be trained on, or a teacher run over."""


def row_lengths(rows: TokenRows) -> np.ndarray:
    """Returns tokens a row, [rows]."""
    return np.diff(rows.offsets)


def total_tokens(rows: TokenRows) -> int:
    """Returns the tokens of all rows together."""
    return int(rows.offsets[-1])


def release_rows(rows: TokenRows) -> None:
    """Lets go of the pages of the token ids that have been read; those of a set in memory stay."""
    for part in rows.parts if isinstance(rows, JoinedTokens) else (rows,):
        release_pages(part.input_ids)


def _located(rows: TokenRows, index: int) -> tuple[EvaluationSet, int]:
    return rows.locate(index) if isinstance(rows, JoinedTokens) else (rows, index)


def padded_tokens(rows: TokenRows, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns token ids and mask of some rows, each [batch, the longest of them], int64."""
    lengths = rows.offsets[indices + 1] - rows.offsets[indices]
    length = int(lengths.max())
    if isinstance(rows, EvaluationSet):
        return rows.batch(indices.tolist(), length)
    input_ids = np.zeros((len(indices), length), dtype=np.int64)
    for number, index in enumerate(indices):
        part, own = rows.locate(index)
        input_ids[number, : lengths[number]] = part.tokens(own)
    return input_ids, (np.arange(length) < lengths[:, None]).astype(np.int64)


def labels_of(rows: TokenRows, indices: np.ndarray) -> np.ndarray:
    """Returns the labels of some rows.

    By kind: class, int64 [batch]; value, float32 [batch]; span, int64 [batch, 2]; tags, int64
    [batch, the longest row], -100 on padding.
    """
    if rows.kind != "tags":
        if isinstance(rows, EvaluationSet):
            return np.array(rows.labels[indices])
        return np.stack([part.labels[own] for part, own in (rows.locate(index) for index in indices)])
    lengths = rows.offsets[indices + 1] - rows.offsets[indices]
    labels = np.full((len(indices), int(lengths.max())), NOT_SCORED, dtype=np.int64)
    for number, index in enumerate(indices):
        part, own = _located(rows, int(index))
        labels[number, : lengths[number]] = part.labels[part.offsets[own] : part.offsets[own + 1]]
    return labels
