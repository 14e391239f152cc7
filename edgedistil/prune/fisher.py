"""How the loss moves when heads and FFN blocks are masked: the Fisher information of the mask variables.

Kwon et al. 2022 (arXiv 2204.09656, section 3.1, equations 4 to 8): each block's output is multiplied by a mask that is
1; the loss's Hessian by the masks is approximated by the mean outer product of their gradients, a text at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from edgedistil.errors import UsageError
from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.progress import Progress
from edgedistil.prune.blocks import Sublayer
from edgedistil.prune.moments import Batch, is_span, listening_copy, probe

_SEED = 0
_IGNORED = -100


def loss_of(model: EdgeBertForSequenceClassification, logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the task's loss, summed over texts so that each text's gradient is its own.

    Args:
        model: Whose configuration names head and problem.
        logits: [batch, labels], or [batch, sequence, labels].
        labels: Classes [batch], values [batch], tags [batch, sequence] with -100 where none counts, or first and
            last token [batch, 2].
    """
    if getattr(model.config, "problem", "classification") == "regression":
        return (logits[:, 0] - labels.to(logits)).square().sum()
    if is_span(model):
        return F.cross_entropy(logits.transpose(1, 2).flatten(0, 1), labels.flatten(), reduction="sum")
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=_IGNORED, reduction="sum")


def _signal(
    model: EdgeBertForSequenceClassification, logits: Tensor, batch: Batch, generator: torch.Generator
) -> Tensor:
    if len(batch) > 2:
        return loss_of(model, logits, batch[2].to(logits.device))
    # Without labels: the Gauss-Newton matrix of the logits, which the Fisher information is for a linear classifier.
    return probe(logits, batch[1].to(logits.device), generator, over_sequence=is_span(model))


def collect_fisher(
    model: EdgeBertForSequenceClassification,
    batches: Sequence[Batch],
    sublayers: Sequence[Sublayer],
    progress: Progress,
) -> list[Tensor]:
    """Returns each sublayer's Fisher information of its blocks' masks, [blocks, blocks], fp64.

    Args:
        model: The model; it is left as it is.
        batches: Token ids, attention masks and, third, labels; without them the logits themselves are looked at.
        sublayers: Whose blocks are masked.
        progress: Told of every batch.

    Raises:
        UsageError: When there is no text.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(_SEED)
    found = [torch.zeros(len(each.blocks), len(each.blocks), dtype=torch.float64) for each in sublayers]
    members = [_membership(each).to(device) for each in sublayers]
    weights = [each.output(model).weight.detach() for each in sublayers]
    texts = 0

    def hear(number: int, inputs: Tensor, gradients: Tensor) -> None:
        # The gradient by a column's mask is the column times its own gradient, over a text's tokens.
        columns = (inputs * (gradients @ weights[number])).sum(1).float()
        masks = (columns @ members[number]).double().cpu()
        found[number].addmm_(masks.T, masks)

    listening = listening_copy(model, sublayers, hear)
    with torch.enable_grad(), progress.bar("calibrate pruning", len(batches)) as bar:
        for batch in batches:
            logits = listening(batch[0].to(device), batch[1].to(device)).logits
            _signal(model, logits, batch, generator).backward()
            texts += len(batch[0])
            bar.advance()
    if not texts:
        raise UsageError("there is no text to calibrate pruning with", cure="give at least one example")
    return [each / texts for each in found]


def _membership(sublayer: Sublayer) -> Tensor:
    columns = sum(len(block) for block in sublayer.blocks)
    member = torch.zeros(columns, len(sublayer.blocks))
    for number, block in enumerate(sublayer.blocks):
        member[list(block), number] = 1.0
    return member


def quadratic(fisher: Tensor, removed: Sequence[int]) -> float:
    """Returns half the quadratic form of some removed blocks: what equation 5 says the loss rises by."""
    index = torch.tensor(list(removed), dtype=torch.long)
    return 0.5 * float(fisher[index[:, None], index].sum())
