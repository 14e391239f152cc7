"""Mask tuning: what is left of each head and block is scaled so that each layer's output is again the larger model's.

Kwon et al. 2022 (arXiv 2204.09656, section 3.3, equation 12), a sublayer at a time from the first, each seeing what
the tuned ones before it give. The few unknowns are solved by their normal equations.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.prune.blocks import Sublayer, sublayers_of
from edgedistil.prune.moments import Batch, some

_DAMPING = 1e-2
_LARGEST = 10.0
_TEXTS = 256


class _Heard(Exception):  # noqa: N818 - not an error: the way out of a forward pass that has heard enough
    """Ends a forward pass."""


def hear(model: EdgeBertForSequenceClassification, modules: Sequence[nn.Module], batch: Batch) -> list[Tensor]:
    """Returns what enters some modules of a model, [real tokens, width]; nothing behind the last is computed."""
    heard: list[Tensor] = []
    real = batch[1].bool()

    def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        heard.append(inputs[0][real])
        if len(heard) == len(modules):
            raise _Heard

    handles = [module.register_forward_pre_hook(hook) for module in modules]
    with contextlib.suppress(_Heard):
        model(batch[0], batch[1])
    for handle in handles:
        handle.remove()
    return heard


def _factors(
    model: EdgeBertForSequenceClassification, sublayer: Sublayer, batches: Sequence[Batch], wanted: Sequence[Tensor]
) -> Tensor:
    """Returns the factor of each block, [blocks], fp64.

    The block's contribution is W_i x_i. All products of two blocks' contributions are sums over X^T X, and those with
    what is missing from the larger model's residual stream are sums over X^T (wanted - found).
    """
    weight = sublayer.output(model).weight.double()
    gram = torch.zeros(weight.shape[1], weight.shape[1], dtype=torch.float64)
    cross = torch.zeros(weight.shape[1], weight.shape[0], dtype=torch.float64)
    for batch, right in zip(batches, wanted, strict=True):
        inputs, found = hear(model, [sublayer.output(model), sublayer.norm(model)], batch)
        gram += (inputs.T @ inputs).double()
        cross += (inputs.T @ (right - found)).double()
    member = torch.zeros(weight.shape[1], len(sublayer.blocks), dtype=torch.float64)
    for number, columns in enumerate(sublayer.blocks):
        member[list(columns), number] = 1.0
    normal = member.T @ ((weight.T @ weight) * gram) @ member
    target = member.T @ (weight.T * cross).sum(1)
    damped = normal + _DAMPING * normal.diagonal().mean() * torch.eye(len(normal), dtype=torch.float64)
    return 1.0 + torch.linalg.solve(damped, target)


@torch.no_grad()
def rescaled(
    model: EdgeBertForSequenceClassification,
    original: EdgeBertForSequenceClassification,
    batches: Sequence[Batch],
    block: int = 32,
) -> EdgeBertForSequenceClassification:
    """Returns a pruned model whose heads and FFN blocks are scaled; its sizes are the same.

    Args:
        model: The pruned model; it is left as it is.
        original: The model it was made from; it is left as it is.
        batches: Calibration text.
        block: FFN neurons that share a factor.
    """
    tuned, whole = copy.deepcopy(model).eval(), copy.deepcopy(original).eval()
    few = some(batches, _TEXTS)
    places = sublayers_of(tuned.config, block)
    if not places:
        return tuned
    wanted = [hear(whole, [sublayer.norm(whole) for sublayer in places], batch) for batch in few]
    for number, sublayer in enumerate(places):
        factors = _factors(tuned, sublayer, few, [heard[number] for heard in wanted])
        # Kwon et al. leave a layer alone whose solution runs away, which a near singular system's does.
        if not bool((factors.abs() <= _LARGEST).all()):
            continue
        weight = sublayer.output(tuned).weight
        for block_number, columns in enumerate(sublayer.blocks):
            weight[:, list(columns)] *= float(factors[block_number])
    return tuned
