"""A sublayer's output Linear with some columns cut out and nothing made up for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def cut(linear: nn.Linear) -> Callable[[Sequence[int]], tuple[Tensor, Tensor]]:
    """Returns a function from the columns kept to the weight [rows, columns], zero elsewhere, and the bias [rows]."""

    def rebuild(kept: Sequence[int]) -> tuple[Tensor, Tensor]:
        weight = torch.zeros_like(linear.weight)
        weight[:, list(kept)] = linear.weight.detach()[:, list(kept)]
        return weight, linear.bias.detach()

    return rebuild
