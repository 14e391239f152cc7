"""A model's outputs on a batch: the student's, and those of a teacher that runs in every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from edgedistil.distil.batches import Batch
from edgedistil.distil.losses.base import Outputs


@dataclass(frozen=True)
class Request:
    """What of a model's outputs is wanted.

    Attributes:
        logits: Whether its answers are.
        states: Numbers of the hidden states; 0 is the embeddings' output.
        projections: Layers, from 1, whose queries, keys and values are.
    """

    logits: bool = True
    states: tuple[int, ...] = ()
    projections: tuple[int, ...] = ()


class TeacherOutputs(Protocol):
    """A teacher that answers for the rows of one token set, from memory or by running."""

    @property
    def config(self) -> PretrainedConfig:
        """Returns the teacher's configuration."""

    def __call__(self, batch: Batch, request: Request) -> Outputs:
        """Returns what is wanted, on the batch's device."""


class LiveTeacher:
    """The teacher in the loop: nothing on disk, a forward pass a step.

    Args:
        model: The fine-tuned teacher; moved to each batch's device.
        bf16: Whether it computes in bf16 autocast.
    """

    def __init__(self, model: PreTrainedModel, *, bf16: bool) -> None:
        self._model = model.eval()
        self._bf16 = bf16

    @property
    def config(self) -> PretrainedConfig:
        """Returns the teacher's configuration."""
        return self._model.config

    def __call__(self, batch: Batch, request: Request) -> Outputs:
        """Runs the teacher on a batch, without gradients."""
        device = batch.input_ids.device
        self._model.to(device)
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._bf16):
            return run_model(self._model, batch, request)


def run_model(model: nn.Module, batch: Batch, request: Request) -> Outputs:
    """Runs a model on a batch; what is not wanted is not asked for."""
    more: dict[str, bool | Tensor] = {}
    if request.states:
        more["output_hidden_states"] = True
    if request.projections:
        more["output_projections"] = True
    if getattr(model.config, "head", None) == "masked-lm":
        # A word's logits are as many as the vocabulary: only those of hidden words are computed.
        more["positions"] = batch.labels >= 0
    output = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **more)
    return Outputs(
        logits=output.logits if request.logits else None,
        hidden={state: output.hidden_states[state] for state in request.states},
        projections={layer: output.projections[layer - 1] for layer in request.projections if layer},
        head_size=int(getattr(model.config, "head_size", 1)),
    )
