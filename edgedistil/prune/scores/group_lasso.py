"""What a training under reweighted group lasso left of each group: the emptiest go first (Li et al. 2020).

The model that is scored is the one that was trained under `edgedistil.prune.group_lasso.GroupLasso`; groups that the
penalty did not empty are as large as before, so that curves of all sublayers share one unit, the squared norm.
"""

from __future__ import annotations

import torch

from edgedistil.prune.curve import Curve
from edgedistil.prune.cut import cut
from edgedistil.prune.group_lasso import GroupLasso
from edgedistil.prune.scores import Request, Scored, register


@register("group_lasso")
def score(request: Request) -> list[Scored]:
    """Returns curves whose error is the squared norm of the groups removed, inputs and output together."""
    with torch.no_grad():
        found = GroupLasso(request.model, request.sublayers).squared_norms()
    scored: list[Scored] = []
    for sublayer, norms in zip(request.sublayers, found, strict=True):
        sizes = norms.double().cpu()
        order = torch.argsort(sizes, stable=True)
        errors = [0.0, *sizes[order].cumsum(0).tolist()]
        scored.append(Scored(Curve(tuple(order.tolist()), tuple(errors)), cut(sublayer.output(request.model))))
    return scored
