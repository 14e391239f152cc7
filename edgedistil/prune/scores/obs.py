"""OBS on every sublayer, in one unit for all: the expected squared change of the logits.

ZipLM divides each sublayer's squared error by the squared norm of its output. In a trained BERT that norm is one or
two outlier dimensions of a separator token, so that nearly every FFN looks free to remove. Here each output
dimension is weighted by the mean squared gradient of the logits by it: a Gauss-Newton Hessian, Kronecker-factored
as in K-FAC (Martens and Grosse 2015, arXiv 1503.05671, section 3) with a diagonal output factor.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edgedistil.prune.moments import Moments, collect_moments
from edgedistil.prune.obs import least_squares, obs_curve
from edgedistil.prune.scores import Request, Scored, register


class _Rebuild:
    """The output Linear whose kept columns, and bias, make up for the others."""

    def __init__(self, weight: Tensor, bias: Tensor, moments: Moments, damping: float) -> None:
        self._weight = weight
        self._bias = bias
        self._moments = moments
        self._damping = damping

    def __call__(self, kept: Sequence[int]) -> tuple[Tensor, Tensor]:
        weight = least_squares(self._weight, self._moments.covariance(self._damping), kept)
        bias = self._bias.double() + (self._weight.double() - weight) @ self._moments.mean()
        return weight.to(self._weight), bias.to(self._bias)


@register("obs")
def score(request: Request) -> list[Scored]:
    """Returns the OBS curve of every sublayer, and weights updated by least squares.

    Errors are first-order estimates of the squared change of a text's centred logits.
    """
    moments = collect_moments(request.model, request.batches, request.sublayers, request.progress)
    scored: list[Scored] = []
    with torch.no_grad(), request.progress.bar("score blocks", len(moments)) as bar:
        for sublayer, each in zip(request.sublayers, moments, strict=True):
            linear = sublayer.output(request.model)
            weight = linear.weight.detach()
            # Scaling rows changes which block is cheapest, not the least-squares weights, which fall to each
            # row alone.
            scaled = weight.double() * each.sensitivity().sqrt()[:, None]
            curve = obs_curve(scaled, each.covariance(request.damping), sublayer.blocks)
            scored.append(Scored(curve, _Rebuild(weight, linear.bias.detach(), each, request.damping)))
            bar.advance()
    return scored
