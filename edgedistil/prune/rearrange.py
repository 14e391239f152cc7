"""Mask rearrangement: which blocks of a layer go together, once it is known how many do.

Kwon et al. 2022 (arXiv 2204.09656, section 3.2): the number of blocks a sublayer loses stays, and greedy swaps of a
kept and a removed block lower the quadratic form of its whole Fisher matrix, which the diagonal knows nothing of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.progress import SilentProgress
from edgedistil.prune.fisher import collect_fisher
from edgedistil.prune.moments import Batch
from edgedistil.prune.scores import Scored

if TYPE_CHECKING:
    from edgedistil.prune.prune import Scores


def swap(fisher: Tensor, removed: Sequence[int], widths: Sequence[int] | None = None) -> list[int]:
    """Returns as many blocks to remove, improved by swaps until none lowers the quadratic form.

    Args:
        fisher: Of the masks, [blocks, blocks].
        removed: Blocks to start from.
        widths: Columns of each block; only blocks that are equally wide are swapped, so that no cost changes. None
            for blocks that are all alike.
    """
    wide = torch.tensor(widths or [1] * len(fisher))
    gone = list(removed)
    kept = [block for block in range(len(fisher)) if block not in set(gone)]
    while gone and kept:
        mask = torch.zeros(len(fisher), dtype=fisher.dtype)
        mask[gone] = 1.0
        pull = fisher @ mask
        out, back = torch.tensor(kept), torch.tensor(gone)
        # Taking i for j changes s' F s by 2 (F s)_i + F_ii - 2 (F s)_j + F_jj - 2 F_ij.
        change = (2 * pull[out] + fisher.diagonal()[out])[:, None] + (fisher.diagonal()[back] - 2 * pull[back])[None]
        change = change - 2 * fisher[out[:, None], back]
        change[wide[out][:, None] != wide[back]] = torch.inf
        best = int(change.argmin())
        row, column = divmod(best, len(gone))
        # What is not a number lowers nothing either.
        if not float(change[row, column]) < -1e-12 * float(fisher.diagonal().sum()):
            break
        kept[row], gone[column] = gone[column], kept[row]
    return gone


def rearranged(
    model: EdgeBertForSequenceClassification, scores: Scores, levels: Sequence[int], batches: Sequence[Batch]
) -> list[Scored]:
    """Returns the scored sublayers with the blocks that go at the chosen levels put first in their orders.

    Args:
        model: The model; it is left as it is.
        scores: What was found out about it.
        levels: How many blocks each sublayer loses.
        batches: Calibration text, with labels where there are.

    Raises:
        UsageError: When there is no text.
    """
    found = collect_fisher(model, batches, scores.sublayers, SilentProgress())
    made = []
    for sublayer, each, fisher, level in zip(scores.sublayers, scores.scored, found, levels, strict=True):
        first = swap(fisher, each.curve.order[:level], [len(block) for block in sublayer.blocks])
        rest = [block for block in each.curve.order if block not in set(first)]
        made.append(replace(each, curve=replace(each.curve, order=(*first, *rest))))
    return made
