"""Magnitude, the baseline: small columns go first, nothing makes up for them, no text is looked at."""

from __future__ import annotations

import torch

from edgedistil.prune.curve import Curve
from edgedistil.prune.cut import cut
from edgedistil.prune.scores import Request, Scored, register


@register("magnitude")
def score(request: Request) -> list[Scored]:
    """Returns curves whose error is the squared Frobenius norm removed, as a share of the matrix's own."""
    scored: list[Scored] = []
    for sublayer in request.sublayers:
        linear = sublayer.output(request.model)
        squares = linear.weight.detach().double().square().sum(0)
        sizes = torch.stack([squares[list(block)].sum() for block in sublayer.blocks])
        sizes = sizes / sizes.sum().clamp_min(torch.finfo(torch.float64).tiny)
        order = torch.argsort(sizes, stable=True)
        errors = [0.0, *sizes[order].cumsum(0).tolist()]
        scored.append(Scored(Curve(tuple(order.tolist()), tuple(errors)), cut(linear)))
    return scored
