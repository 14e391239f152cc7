"""FFN blocks made of neurons that matter equally: a block of neighbours holds good and bad ones alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.progress import Progress, SilentProgress
from edgedistil.prune.blocks import Sublayer
from edgedistil.prune.moments import Batch, collect_moments
from edgedistil.prune.obs import factored


def neuron_errors(weight: Tensor, hessian: Tensor) -> Tensor:
    """Returns what the removal of each single column costs when the others make up for it, [columns], fp64.

    The column's squared norm over its diagonal entry of the inverse Hessian: OBS for one column (arXiv 2302.04089,
    equation 2, with blocks of one).
    """
    inverse = torch.cholesky_inverse(factored(hessian.double())[1])
    return weight.double().square().sum(0) / inverse.diagonal()


def regrouped(
    model: EdgeBertForSequenceClassification,
    batches: Sequence[Batch],
    sublayers: Sequence[Sublayer],
    damping: float,
    progress: Progress | None = None,
) -> list[Sublayer]:
    """Returns the sublayers with each FFN's neurons sorted by what their removal costs before they are cut in blocks.

    Neurons have no order of their own, so that any of them can share a tile once the others are gone.

    Args:
        model: The model; it is left as it is.
        batches: Calibration text.
        sublayers: As `sublayers_of` found them.
        damping: Share of the Hessian's mean diagonal that is added to it.
        progress: Where to report.

    Raises:
        UsageError: When there is no text.
    """
    ffn = [sublayer for sublayer in sublayers if sublayer.kind == "ffn"]
    moments = collect_moments(model, batches, ffn, progress or SilentProgress()) if ffn else []
    blocks: dict[int, tuple[Sequence[int], ...]] = {}
    for sublayer, each in zip(ffn, moments, strict=True):
        scaled = sublayer.output(model).weight.detach().double() * each.sensitivity().sqrt()[:, None]
        order = torch.argsort(neuron_errors(scaled, each.covariance(damping)), stable=True).tolist()
        # The narrow block, if there is one, stays the last: the others are equally wide.
        blocks[sublayer.layer] = tuple(tuple(sorted(order[block[0] : block[-1] + 1])) for block in sublayer.blocks)
    return [
        replace(sublayer, blocks=blocks[sublayer.layer]) if sublayer.kind == "ffn" else sublayer
        for sublayer in sublayers
    ]
