"""What a training under reweighted group lasso left of each group: the emptiest go first (Li et al. 2020).

The model that is scored is the one that was trained under `edgedistil.prune.group_lasso.GroupLasso`. Li et al. compare
groups of one matrix, by a threshold a layer; here one search weighs a head against neurons of the FFN, whose weights
have another size from the start. So a group counts as its share of its kind: all heads sum to one a layer on average,
all FFN blocks as well, and layers that the penalty emptied still count less than those it left.
"""

from __future__ import annotations

import torch

from edgedistil.prune.curve import Curve
from edgedistil.prune.cut import cut
from edgedistil.prune.group_lasso import GroupLasso
from edgedistil.prune.scores import Request, Scored, register


@register("group_lasso")
def score(request: Request) -> list[Scored]:
    """Returns curves whose error is the squared norm removed, in and out, as a share of its kind's mean layer."""
    with torch.no_grad():
        found = [norms.double().cpu() for norms in GroupLasso(request.model, request.sublayers).squared_norms()]
    scored: list[Scored] = []
    for sublayer, norms in zip(request.sublayers, found, strict=True):
        alike = [
            other.sum() for each, other in zip(request.sublayers, found, strict=True) if each.kind == sublayer.kind
        ]
        sizes = norms / torch.stack(alike).mean().clamp_min(torch.finfo(torch.float64).tiny)
        order = torch.argsort(sizes, stable=True)
        errors = [0.0, *sizes[order].cumsum(0).tolist()]
        scored.append(Scored(Curve(tuple(order.tolist()), tuple(errors)), cut(sublayer.output(request.model))))
    return scored
