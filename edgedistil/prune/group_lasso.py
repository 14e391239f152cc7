"""Reweighted group lasso: a penalty that lets training itself empty heads and FFN blocks.

Li et al. 2020 (arXiv 2009.08065, section 3.3, after Candes, Wakin and Boyd 2008): each group's squared norm is
weighted by 1 / (its squared norm + epsilon), a weight held still for some steps, so that small groups shrink to
nothing and large ones are left in peace.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.prune.blocks import Sublayer


class GroupLasso:
    """The penalty on a model that is being trained.

    Args:
        model: The model; its parameters are read anew each time.
        sublayers: Its heads and blocks; a group is all that goes with one: its rows of the input Linears and its
            columns of the output Linear.
        strength: The penalty's weight beside the loss.
        epsilon: Keeps an empty group's weight finite, as a share of the mean squared norm of all groups at the start.

    Attributes:
        strength: As given.
        state: The groups' weights, as buffers: to be saved with an unfinished training.
    """

    def __init__(
        self,
        model: EdgeBertForSequenceClassification,
        sublayers: Sequence[Sublayer],
        strength: float = 1e-3,
        epsilon: float = 1e-3,
    ) -> None:
        self._model = model
        self._sublayers = list(sublayers)
        self._members = [_owners(sublayer) for sublayer in sublayers]
        self.strength = strength
        with torch.no_grad():
            norms = self.squared_norms()
            self._epsilon = epsilon * torch.cat(norms).mean()
        self.state = nn.Module()
        for number, each in enumerate(norms):
            self.state.register_buffer(f"weights_{number}", torch.ones_like(each))
        self.reweight()

    def squared_norms(self) -> list[Tensor]:
        """Returns each sublayer's groups' squared norms, [blocks]; differentiable."""
        found = []
        for sublayer, owners in zip(self._sublayers, self._members, strict=True):
            per_column = sum(
                (linear.weight.square().sum(1) for linear in _inputs(sublayer, self._model)),
                start=sublayer.output(self._model).weight.square().sum(0),
            )
            sums = torch.zeros(len(sublayer.blocks), dtype=per_column.dtype, device=per_column.device)
            found.append(sums.index_add(0, owners.to(per_column.device), per_column))
        return found

    def penalty(self) -> Tensor:
        """Returns what is added to the loss: a scalar, differentiable, at most `strength` times the groups."""
        weighted = zip(self.state.buffers(), self.squared_norms(), strict=True)
        parts = [(weights * norms).sum() for weights, norms in weighted]
        return self.strength * torch.stack(parts).sum()

    @torch.no_grad()
    def reweight(self) -> None:
        """Sets every group's weight from its present norm; to be called each so many steps."""
        for weights, norms in zip(self.state.buffers(), self.squared_norms(), strict=True):
            weights.copy_(1.0 / (norms + self._epsilon))


def _owners(sublayer: Sublayer) -> Tensor:
    owners = torch.zeros(sum(len(block) for block in sublayer.blocks), dtype=torch.long)
    for number, block in enumerate(sublayer.blocks):
        owners[list(block)] = number
    return owners


def _inputs(sublayer: Sublayer, model: EdgeBertForSequenceClassification) -> list[nn.Linear]:
    layer = model.encoder.layers[sublayer.layer]
    if sublayer.kind == "attention":
        return [layer.attention.query, layer.attention.key, layer.attention.value]
    return [layer.ffn.up]
