"""Batches of similar length: less padding, the same randomness an epoch, the same order for a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgedistil.bench.runner.evaluation import EvaluationSet

_POOL = 50  # batches that are sorted by length together: shuffled enough, sorted enough


@dataclass(frozen=True)
class Batch:
    """Rows of one step.

    Attributes:
        indices: Row numbers in the token set, [batch].
        input_ids: Token ids, [batch, sequence], int64.
        attention_mask: 1 for tokens, 0 for padding, [batch, sequence], int64.
        labels: Class numbers, [batch], int64.
    """

    indices: np.ndarray
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        """Returns the batch with its tensors on a device."""
        return Batch(self.indices, self.input_ids.to(device), self.attention_mask.to(device), self.labels.to(device))


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


def collate(tokens: EvaluationSet, indices: np.ndarray) -> Batch:
    """Returns rows padded to the longest of them."""
    lengths = tokens.offsets[indices + 1] - tokens.offsets[indices]
    input_ids, mask = tokens.batch(indices.tolist(), int(lengths.max()))
    labels = np.asarray(tokens.labels[indices], dtype=np.int64)
    return Batch(indices, torch.from_numpy(input_ids), torch.from_numpy(mask), torch.from_numpy(labels))


def batches(tokens: EvaluationSet, plan: Sequence[np.ndarray]) -> Iterator[Batch]:
    """Yields the collated batches of a plan."""
    for indices in plan:
        yield collate(tokens, indices)


def row_lengths(tokens: EvaluationSet) -> np.ndarray:
    """Returns tokens a row, [rows]."""
    return np.diff(tokens.offsets)
