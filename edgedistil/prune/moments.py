"""What calibration text tells of a sublayer: second moments of its inputs, and which outputs matter."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgedistil.errors import UsageError
from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.progress import Progress
from edgedistil.prune.blocks import Sublayer

Batch = tuple[Tensor, ...]
"""Token ids and attention mask, both [batch, sequence], and labels where a score learns from them."""

_PROBE_SEED = 0


def damped_covariance(second_moments: Tensor, mean: Tensor, damping: float) -> Tensor:
    """Returns an invertible covariance, [columns, columns], of second moments [columns, columns] and a mean [columns].

    Args:
        second_moments: E x x^T.
        mean: E x.
        damping: What is added to the diagonal, as a share of its mean.
    """
    covariance = second_moments - torch.outer(mean, mean)
    diagonal = covariance.diagonal()
    # An input that never varies still needs a positive diagonal to be inverted.
    diagonal += (damping * diagonal.mean()).clamp_min(torch.finfo(torch.float32).tiny)
    return covariance


@dataclass
class Moments:
    """Running sums over the tokens that went through one Linear.

    Attributes:
        total: Sum of the inputs, [columns], fp32.
        square: Sum of their outer products, [columns, columns], fp32.
        gradient_square: Sum of the squared gradients of the probed logits by each output, [rows], fp32.
        tokens: How many tokens; padding is not one.
        examples: How many texts they came from.
    """

    total: Tensor
    square: Tensor
    gradient_square: Tensor
    tokens: int = 0
    examples: int = 0

    def add(self, inputs: Tensor, gradients: Tensor, examples: int) -> None:
        """Adds tokens of some texts.

        Args:
            inputs: What entered the Linear, [tokens, columns].
            gradients: Of the probed logits by what left it, [tokens, rows].
            examples: How many texts the tokens belong to.
        """
        inputs = inputs.float()
        self.total += inputs.sum(0)
        self.square.addmm_(inputs.T, inputs)
        self.gradient_square += gradients.float().square().sum(0)
        self.tokens += len(inputs)
        self.examples += examples

    def mean(self) -> Tensor:
        """Returns the mean input, [columns], fp64."""
        return self.total.double() / self.tokens

    def covariance(self, damping: float = 0.0) -> Tensor:
        """Returns the inputs' damped covariance, [columns, columns], fp64.

        It stands where ZipLM (arXiv 2302.04089, section 3.1) has the Gram matrix X^T X: the Linear has a bias
        that least squares may move too, and with a free bias only deviations from the mean input cost.

        Args:
            damping: What is added to the diagonal, as a share of its mean; makes the matrix invertible.
        """
        return damped_covariance(self.square.double() / self.tokens, self.mean(), damping)

    def sensitivity(self) -> Tensor:
        """Returns how much the squared logits of a text move with each output's squared error, [rows], fp64.

        The mean squared gradient of one output, times the tokens of a text. All ones when no output matters, as
        under a classifier of zeros.
        """
        weights = self.gradient_square.double() / self.examples
        return weights if float(weights.sum()) > 0 else torch.ones_like(weights)


def centred(change: Tensor, mask: Tensor, *, over_sequence: bool) -> Tensor:
    """Returns a change of logits without what a softmax does not see, and without padding.

    Args:
        change: [batch, labels], or [batch, sequence, labels].
        mask: 1 for a token and 0 for padding, [batch, sequence].
        over_sequence: The softmax goes over the sequence, as a span's does.
    """
    real = mask[:, :, None].to(change) if change.ndim > 2 else torch.ones_like(change[:, :1])
    if over_sequence:
        change = change - (change * real).sum(1, keepdim=True) / real.sum(1, keepdim=True).clamp_min(1)
    elif change.shape[-1] > 1:
        change = change - change.mean(-1, keepdim=True)
    return change * real


def probe(logits: Tensor, mask: Tensor, generator: torch.Generator, *, over_sequence: bool = False) -> Tensor:
    """Returns a random projection of each text's logits, summed; its squared gradients are unbiased.

    With independent signs v, E[(v J)^2] is the squared Jacobian of all logits at once (Hutchinson 1990). The signs
    are centred, since adding the same to every logit of a softmax changes no prediction; padding has none.

    Args:
        logits: [batch, labels], or [batch, sequence, labels].
        mask: 1 for a token and 0 for padding, [batch, sequence].
        generator: Draws the signs.
        over_sequence: The softmax goes over the sequence, as a span's does.
    """
    signs = torch.randint(0, 2, logits.shape, generator=generator).to(logits) * 2 - 1
    return (logits * centred(signs, mask, over_sequence=over_sequence)).sum()


def _listen(linear: nn.Module, hear: Callable[[Tensor, Tensor], None]) -> None:
    """Calls `hear(inputs, gradients of outputs)` after every backward pass through a Linear."""

    def on_forward(_module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        output.register_hook(lambda gradient: hear(inputs[0].detach(), gradient))

    linear.register_forward_hook(on_forward)


def listening_copy(
    model: EdgeBertForSequenceClassification,
    sublayers: Sequence[Sublayer],
    hear: Callable[[int, Tensor, Tensor], None],
) -> EdgeBertForSequenceClassification:
    """Returns a copy in eval mode that needs gradients of activations only and reports every sublayer."""
    made = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
    made.encoder.embeddings.register_forward_hook(lambda _module, _inputs, output: output.requires_grad_())

    def listener(number: int) -> Callable[[Tensor, Tensor], None]:
        return lambda inputs, gradients: hear(number, inputs, gradients)

    for number, sublayer in enumerate(sublayers):
        _listen(sublayer.output(made), listener(number))
    return made


def some(batches: Sequence[Batch], texts: int) -> list[Batch]:
    """Returns batches, spread over all lengths, that hold about so many texts."""
    size = max((len(batch[0]) for batch in batches), default=1)
    return list(batches[:: max(1, len(batches) * size // texts)])


def is_span(model: EdgeBertForSequenceClassification) -> bool:
    """Tells whether a model's softmax goes over the sequence."""
    return getattr(model.config, "head", "sequence") == "span"


def _empty(linear: nn.Linear) -> Moments:
    device, columns = linear.weight.device, linear.in_features
    return Moments(
        torch.zeros(columns, device=device),
        torch.zeros(columns, columns, device=device),
        torch.zeros(linear.out_features, device=device),
    )


def collect_moments(
    model: EdgeBertForSequenceClassification,
    batches: Sequence[Batch],
    sublayers: Sequence[Sublayer],
    progress: Progress,
) -> list[Moments]:
    """Runs calibration text forwards and backwards through a model and sums up each sublayer's moments.

    Nothing but the sums is kept, so that memory does not grow with the text. No labels are needed. The model runs
    in eval mode on its own device.

    Args:
        model: The model; it is left as it is.
        batches: Token ids and attention masks of real text.
        sublayers: Whose output Linears to listen to.
        progress: Told of every batch.

    Raises:
        UsageError: When there is no token to calibrate with.
    """
    moments = [_empty(sublayer.output(model)) for sublayer in sublayers]
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(_PROBE_SEED)
    tokens = torch.zeros(0)

    def hear(number: int, inputs: Tensor, gradients: Tensor) -> None:
        moments[number].add(inputs[tokens], gradients[tokens], len(inputs))

    listening = listening_copy(model, sublayers, hear)
    with torch.enable_grad(), progress.bar("calibrate pruning", len(batches)) as bar:
        for ids, mask, *_ in batches:
            tokens = mask.to(device).bool()
            logits = listening(ids.to(device), mask.to(device)).logits
            probe(logits, mask.to(device), generator, over_sequence=is_span(model)).backward()
            bar.advance()
    if not moments or not moments[0].tokens:
        raise UsageError("there is no text to calibrate pruning with", cure="give at least one example")
    return moments
