"""Layer-wise Gram matrices: the second moments of what enters each output Linear, over real text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgedistil.errors import UsageError
from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.progress import Progress
from edgedistil.prune.blocks import Sublayer

Batch = tuple[Tensor, Tensor]
"""Token ids and attention mask, both [batch, sequence]."""


@dataclass
class Moments:
    """Running sums over the tokens that entered one Linear.

    Attributes:
        total: Sum of the inputs, [columns], fp32.
        square: Sum of their outer products, [columns, columns], fp32.
        tokens: How many tokens; padding is not one.
    """

    total: Tensor
    square: Tensor
    tokens: int = 0

    def add(self, inputs: Tensor) -> None:
        """Adds inputs, [tokens, columns]."""
        inputs = inputs.float()
        self.total += inputs.sum(0)
        self.square.addmm_(inputs.T, inputs)
        self.tokens += len(inputs)

    def mean(self) -> Tensor:
        """Returns the mean input, [columns], fp64."""
        return self.total.double() / self.tokens

    def covariance(self, damping: float = 0.0) -> Tensor:
        """Returns the inputs' damped covariance, [columns, columns], fp64.

        The covariance stands where ZipLM (arXiv 2302.04089, section 3) has the Gram matrix X^T X, because the
        Linear has a bias that least squares may move too: with a free bias only deviations from the mean cost.

        Args:
            damping: What is added to the diagonal, as a share of its mean; makes the matrix invertible.
        """
        mean = self.mean()
        covariance = self.square.double() / self.tokens - torch.outer(mean, mean)
        diagonal = covariance.diagonal()
        # A sublayer whose input never varies still needs a positive diagonal to be inverted.
        diagonal += damping * diagonal.mean().clamp_min(torch.finfo(torch.float32).tiny)
        return covariance


@contextmanager
def _listening(
    model: EdgeBertForSequenceClassification, sublayers: Sequence[Sublayer], hear: Callable[[int, Tensor], None]
) -> Iterator[None]:
    """Calls `hear(number, inputs)` with what enters each sublayer's output Linear while the context lasts."""

    def listener(number: int) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        return lambda _module, inputs: hear(number, inputs[0])

    handles = [
        sublayer.output(model).register_forward_pre_hook(listener(number))
        for number, sublayer in enumerate(sublayers)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def collect_moments(
    model: EdgeBertForSequenceClassification,
    batches: Sequence[Batch],
    sublayers: Sequence[Sublayer],
    progress: Progress,
) -> list[Moments]:
    """Runs calibration text through a model and sums up what enters each sublayer's output Linear.

    Nothing but the sums is kept, so that memory does not grow with the text. The model runs in eval mode on its
    own device.

    Args:
        model: The model; it is left as it is.
        batches: Token ids and attention masks of real text.
        sublayers: Whose inputs to sum up.
        progress: Told of every batch.

    Raises:
        UsageError: When there is no token to calibrate with.
    """
    device = next(model.parameters()).device
    widths = [sublayer.output(model).in_features for sublayer in sublayers]
    moments = [Moments(torch.zeros(w, device=device), torch.zeros(w, w, device=device)) for w in widths]
    tokens = torch.zeros(0)

    def hear(number: int, inputs: Tensor) -> None:
        moments[number].add(inputs[tokens])

    training = model.training
    model.eval()
    with _listening(model, sublayers, hear), torch.inference_mode(), progress.bar("calibrate", len(batches)) as bar:
        for ids, mask in batches:
            tokens = mask.to(device).bool()
            model(ids.to(device), mask.to(device))
            bar.advance()
    model.train(training)
    if not moments or not moments[0].tokens:
        raise UsageError("there is no text to calibrate pruning with", cure="give at least one example")
    return moments
