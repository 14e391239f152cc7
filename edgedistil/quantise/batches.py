"""Rows to calibrate with: padding is no text, and its values are not to widen a range."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from edgedistil.bench.runner.evaluation import EvaluationSet

_ROWS = 64


def unpadded_batches(rows: EvaluationSet) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields every row once, in batches of one length: token ids and a mask of ones, both [batch, sequence]."""
    lengths = rows.lengths
    for length in np.unique(lengths):
        alike = np.flatnonzero(lengths == length)
        for start in range(0, len(alike), _ROWS):
            ids, mask = rows.batch(alike[start : start + _ROWS].tolist(), int(length))
            yield torch.from_numpy(ids), torch.from_numpy(mask)
