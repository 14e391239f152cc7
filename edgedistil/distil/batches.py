"""Batches of similar length: less padding, the same randomness an epoch, the same order for a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from edgedistil.distil.losses import Unit
from edgedistil.distil.rows import TokenRows, labels_of, padded_tokens, row_lengths

_POOL = 50  # batches that are sorted by length together: shuffled enough, sorted enough

__all__ = ["Batch", "batches", "collate", "epoch_plan", "row_lengths", "sorted_plan"]


@dataclass(frozen=True)
class Batch:
    """Rows of one step.

    Attributes:
        indices: Row numbers in the token set, [batch].
        input_ids: Token ids, [batch, sequence], int64.
        attention_mask: 1 for tokens, 0 for padding, [batch, sequence], int64.
        labels: By kind: class, int64 [batch], -1 for none; value, float32 [batch], NaN for none; tags and masked, int64
            [batch, sequence], -100 for none; span, int64 [batch, 2], -100 for none.
        kind: What a row's label is; `masked` for words to be filled in.
    """

    indices: np.ndarray
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    kind: str = "class"

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device) -> Batch:
        """Returns the batch with its tensors on a device."""
        return replace(
            self,
            input_ids=self.input_ids.to(device),
            attention_mask=self.attention_mask.to(device),
            labels=self.labels.to(device),
        )

    def part(self, number: int, of: int) -> Batch:
        """Returns every `of`-th row from row `number` on, padded to the longest of them; may be empty."""
        if of == 1:
            return self
        chosen = slice(number, None, of)
        mask = self.attention_mask[chosen]
        length = int(mask.sum(1).max()) if len(mask) else 0
        labels = self.labels[chosen]
        if self.kind in ("tags", "masked"):
            labels = labels[:, :length]
        return replace(
            self,
            indices=self.indices[chosen],
            input_ids=self.input_ids[chosen, :length],
            attention_mask=mask[:, :length],
            labels=labels,
        )

    def units(self) -> dict[Unit, int]:
        """Returns how many there are of what losses are averaged over, none of them 0."""
        known = ~torch.isnan(self.labels) if self.kind == "value" else self.labels >= 0
        labelled = known.all(1) if self.kind == "span" else known
        counts: dict[Unit, int] = {
            "rows": len(self),
            "tokens": int(self.attention_mask.sum()),
            "labelled": int(labelled.sum()),
        }
        return {unit: max(1, count) for unit, count in counts.items()}


def epoch_plan(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Returns one epoch's batches as row numbers: every row once, rows of a batch alike in length.

    Args:
        lengths: Tokens a row, [rows].
        batch_size: Rows a batch; the last may be smaller.
        seed: Seed of the run.
        epoch: Number of the epoch; each has its own order.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    pool = batch_size * _POOL
    batches: list[np.ndarray] = []
    for start in range(0, len(order), pool):
        part = order[start : start + pool]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches.extend(part[at : at + batch_size] for at in range(0, len(part), batch_size))
    return [batches[index] for index in generator.permutation(len(batches))]


def sorted_plan(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Returns batches in order of length, longest first: the fewest padded tokens, memory known at once."""
    order = np.argsort(-lengths, kind="stable")
    return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]


def collate(rows: TokenRows, indices: np.ndarray) -> Batch:
    """Returns rows padded to the longest of them."""
    input_ids, mask = padded_tokens(rows, indices)
    labels = torch.from_numpy(labels_of(rows, indices))
    return Batch(indices, torch.from_numpy(input_ids), torch.from_numpy(mask), labels, rows.kind)


def batches(rows: TokenRows, plan: Sequence[np.ndarray]) -> Iterator[Batch]:
    """Yields the collated batches of a plan."""
    for indices in plan:
        yield collate(rows, indices)
