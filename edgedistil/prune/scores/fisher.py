"""The Fisher information of the mask: blocks whose masking moves the loss least go first, nothing makes up for them.

Kwon et al. 2022 (arXiv 2204.09656): `fisher` takes its diagonal (equation 8), so that blocks are independent of one
another; `fisher_block` takes each sublayer's whole matrix, and removes greedily what then adds least.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgedistil.prune.curve import Curve
from edgedistil.prune.cut import cut
from edgedistil.prune.fisher import collect_fisher
from edgedistil.prune.scores import Request, Scored, register


def diagonal_curve(fisher: Tensor) -> Curve:
    """Returns the curve of independent blocks from their Fisher information, [blocks, blocks]."""
    diagonal = fisher.diagonal()
    order = torch.argsort(diagonal, stable=True)
    errors = [0.0, *(0.5 * diagonal[order].cumsum(0)).tolist()]
    return Curve(tuple(order.tolist()), tuple(errors))


def greedy_curve(fisher: Tensor) -> Curve:
    """Returns the curve of blocks that go one by one, each the one that adds least to the quadratic form.

    An error that fell, because one removal undoes another's, is held at what it was: curves never fall.
    """
    order: list[int] = []
    errors = [0.0]
    cross = torch.zeros(len(fisher), dtype=fisher.dtype)
    total = 0.0
    while len(order) < len(fisher):
        added = 0.5 * fisher.diagonal() + cross
        added[order] = torch.inf
        block = int(added.argmin())
        total += float(added[block])
        cross += fisher[block]
        order.append(block)
        errors.append(max(errors[-1], total))
    return Curve(tuple(order), tuple(errors))


def _scored(request: Request, *, whole: bool) -> list[Scored]:
    made = collect_fisher(request.model, request.batches, request.sublayers, request.progress)
    curve = greedy_curve if whole else diagonal_curve
    return [
        Scored(curve(each), cut(sublayer.output(request.model)))
        for sublayer, each in zip(request.sublayers, made, strict=True)
    ]


@register("fisher")
def score(request: Request) -> list[Scored]:
    """Returns curves in the loss's own unit, from the diagonal."""
    return _scored(request, whole=False)


@register("fisher_block")
def score_block(request: Request) -> list[Scored]:
    """Returns curves in the loss's own unit, from each sublayer's whole matrix."""
    return _scored(request, whole=True)
