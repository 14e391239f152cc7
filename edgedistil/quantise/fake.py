"""Fake quantisation: values rounded to what 8 bits express, gradients as if they were not.

Weights are symmetric and have a scale a channel, taken from the weights of the moment, as the files' writers take it
from the weights they get: what is trained is what ships. Activations have one asymmetric range a tensor, which is
observed, follows a moving average, or is learned.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

RangeKind = Literal["fixed", "ema", "learned"]

_MOMENTUM = 0.99
# Adam's steps do not depend on the gradients' size, so in place of LSQ's gradient scale (arXiv 1902.08153, section
# 2.2) the ends' logarithms are learned, this many times as fast as a weight: at a rate of 1e-4 an end moves by at most
# 0.1 % a step.
_PACE = 10.0
_TINY = 1e-8


def round_through(values: Tensor) -> Tensor:
    """Returns rounded values whose gradient is the values' own (Bengio et al. 2013, arXiv 1308.3432)."""
    return values + (values.round() - values).detach()


def fake_weight(weight: Tensor, bits: int = 8) -> Tensor:
    """Returns weights [out, in], each row rounded to the numbers -(2^(bits-1) - 1) ... 2^(bits-1) - 1 of its scale."""
    limit = 2 ** (bits - 1) - 1
    scale = weight.detach().abs().amax(dim=1, keepdim=True).clamp_min(_TINY) / limit
    return round_through(weight / scale) * scale


def fake_activation(values: Tensor, low: Tensor, high: Tensor, bits: int = 8) -> Tensor:
    """Returns values rounded to the 2^bits numbers between two ends, in fp32.

    Gradients reach the ends as in LSQ (Esser et al. 2020, arXiv 1902.08153, equation 3), with the offset of LSQ+
    (Bhalgat et al. 2020, arXiv 2004.09576, equation 3), here the whole number that stands for zero.

    Args:
        values: Of any shape.
        low: A scalar, at most 0.
        high: A scalar, at least 0 and more than `low`.
        bits: Width of a number.
    """
    most = 2**bits - 1
    scale = (high - low) / most
    zero = round_through(-low / scale)
    return (torch.clamp(round_through(values.float() / scale) + zero, 0, most) - zero) * scale


class ActivationQuantiser(nn.Module):
    """The range of one tensor, and its fake quantisation.

    Args:
        kind: `fixed` leaves the range as it was observed, `ema` lets it follow a moving average of each batch's while
            training (Jacob et al. 2018, arXiv 1712.05877, section 3.1), `learned` trains its two ends.
        bits: Width of a number.

    Attributes:
        observing: Widen the range to whatever is seen, and round nothing.
    """

    low: Tensor
    high: Tensor

    def __init__(self, kind: RangeKind = "learned", bits: int = 8) -> None:
        super().__init__()
        self.kind = kind
        self.bits = bits
        self.observing = False
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        if kind == "learned":
            self.reach = nn.Parameter(torch.zeros(2))

    def ends(self) -> tuple[Tensor, Tensor]:
        """Returns the range's ends, two scalars, of which a learned range's carry gradients."""
        if self.kind != "learned":
            return self.low, self.high
        low, high = torch.exp(_PACE * self.reach).unbind()
        return self.low * low, self.high * high

    def range(self) -> tuple[float, float]:
        """Returns the range's ends as numbers."""
        low, high = self.ends()
        return low.item(), high.item()

    def set_range(self, low: float, high: float) -> None:
        """Puts the range's ends where they are given."""
        self.low.fill_(low)
        self.high.fill_(high)

    def forward(self, values: Tensor, *, watch: bool = True) -> Tensor:
        """Returns fake-quantised values; observed ones unchanged.

        Args:
            values: Of any shape.
            watch: Whether this call counts for the range; of several layers with one input only the first one's does.
        """
        if watch and (self.observing or (self.training and self.kind == "ema")):
            self._watch(values)
        if self.observing:
            return values
        low, high = self.ends()
        return fake_activation(values, low, high, self.bits)

    @torch.no_grad()
    def _watch(self, values: Tensor) -> None:
        low, high = values.float().aminmax()
        low, high = low.clamp_max(0.0), high.clamp_min(_TINY)
        if self.observing:
            self.low.copy_(torch.minimum(self.low, low))
            self.high.copy_(torch.maximum(self.high, high))
        else:
            self.low.lerp_(low, 1.0 - _MOMENTUM)
            self.high.lerp_(high, 1.0 - _MOMENTUM)
