"""Linear layers whose input is multiplied, channel by channel, before anything else is done to it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from edgedistil.models.modelling import EdgeBertHeadModel

Model = TypeVar("Model", bound=EdgeBertHeadModel)


class ScaledLinear(nn.Linear):
    """W (x * f) + b: an explicit multiplication, which leaves the tensor alone that the residual reads as well.

    The factors have the shape [1, 1, in] because LiteRT's converter folds a vector [in] back into the weights, and so
    undoes it.

    Args:
        linear: Whose parameters are taken over.
        factors: [in] or [1, 1, in].
    """

    factors: Tensor

    def __init__(self, linear: nn.Linear, factors: Tensor) -> None:
        super().__init__(linear.in_features, linear.out_features, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.register_buffer("factors", factors.detach().clone().to(linear.weight).view(1, 1, -1))

    def forward(self, hidden: Tensor) -> Tensor:
        """Returns [batch, sequence, out] of [batch, sequence, in]."""
        return super().forward(hidden * self.factors)


def scale_inputs(model: Model, factors: Mapping[str, Tensor]) -> Model:
    """Returns a copy whose named linear layers multiply their input; weights stay as they are.

    Args:
        model: Left as it is.
        factors: By the name of a linear layer, [in].
    """
    made = copy.deepcopy(model)
    for name, values in factors.items():
        linear = made.get_submodule(name)
        assert isinstance(linear, nn.Linear)  # noqa: S101 - factors are a linear layer's
        made.set_submodule(name, ScaledLinear(linear, values))
    return made


def without_scaling(model: Model) -> tuple[Model, dict[str, Tensor]]:
    """Returns a copy of ordinary linear layers, and the factors, [in], that `scale_inputs` takes to undo this."""
    made = copy.deepcopy(model)
    factors = {}
    for name, module in list(made.named_modules()):
        if isinstance(module, ScaledLinear):
            factors[name] = module.factors.flatten().clone()
            made.set_submodule(name, plain_linear(module))
    return made, factors


def plain_linear(linear: nn.Linear) -> nn.Linear:
    """Returns an ordinary linear layer that holds the same parameters."""
    made = nn.Linear(linear.in_features, linear.out_features, device="meta")
    made.weight, made.bias = linear.weight, linear.bias
    return made.train(linear.training)


class UnfoldedNorm(nn.LayerNorm):
    """A LayerNorm whose weight and bias stay where they are in a TFLite file.

    LiteRT's converter folds weight and bias of a LayerNorm into the linear layers behind it where they are vectors, so
    that these read the normalised tensor and no range of ours fits it; of the shape [1, 1, width] it leaves them.
    """

    def forward(self, hidden: Tensor) -> Tensor:
        """Returns [batch, sequence, width]."""
        normal = nn.functional.layer_norm(hidden, self.normalized_shape, None, None, self.eps)
        return normal * self.weight.view(1, 1, -1) + self.bias.view(1, 1, -1)


def with_unfolded_norms(model: Model) -> Model:
    """Returns a copy to be exported to TFLite: every linear layer reads there what it reads in the model."""
    made = copy.deepcopy(model)
    for name, module in list(made.encoder.named_modules()):
        if type(module) is nn.LayerNorm:
            norm = UnfoldedNorm(module.normalized_shape, module.eps)
            norm.load_state_dict(module.state_dict())
            made.encoder.set_submodule(name, norm.to(next(module.parameters())).eval())
    return made


def absolute_maximum(values: Tensor) -> Tensor:
    """Returns the greatest absolute value a column, [columns], of [rows, columns]; never 0."""
    return values.abs().amax(dim=0).clamp_min(torch.finfo(torch.float32).tiny ** 0.25)
