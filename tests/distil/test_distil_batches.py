from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistil.distil.batches import batches, collate, epoch_plan, row_lengths, sorted_plan
from edgedistil.distil.targets import token_budget_plan

LENGTHS = st.lists(st.integers(1, 64), min_size=1, max_size=300).map(np.array)


@given(LENGTHS, st.integers(1, 16), st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_an_epoch_sees_each_row_once_in_full_batches(lengths: np.ndarray, size: int, seed: int, epoch: int):
    plan = epoch_plan(lengths, size, seed, epoch)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(lengths)))
    assert len(plan) == -(-len(lengths) // size), "the trainer counts an epoch's steps by this"
    assert max(len(part) for part in plan) <= size


@given(LENGTHS, st.integers(1, 16))
def test_a_sorted_plan_sees_each_row_once_longest_first(lengths: np.ndarray, size: int):
    order = np.concatenate(sorted_plan(lengths, size))
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (np.diff(lengths[order]) <= 0).all()


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=700).map(np.array))
def test_batches_of_about_as_many_tokens_see_each_row_once(lengths: np.ndarray):
    plan = token_budget_plan(lengths)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(lengths)))
    assert all(len(part) == 1 or len(part) * lengths[part].max() <= 4096 for part in plan)


def padded(lengths: np.ndarray, plan: list[np.ndarray]) -> int:
    """Returns the tokens that a plan's padded batches hold."""
    return sum(len(part) * int(lengths[part].max()) for part in plan)


def test_alike_lengths_pad_far_less_than_random_batches():
    generator = np.random.default_rng(0)
    lengths = generator.geometric(0.06, 4000).clip(3, 128)
    order = generator.permutation(4000)
    chance = padded(lengths, [order[at : at + 32] for at in range(0, 4000, 32)])
    planned = padded(lengths, epoch_plan(lengths, 32, 0, 0))
    assert planned < 1.15 * lengths.sum() < chance / 2


def test_an_epochs_order_follows_from_the_seed_and_the_epoch():
    lengths = np.random.default_rng(0).integers(1, 30, 200)
    runs = [(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    orders = {run: np.concatenate(epoch_plan(lengths, 8, *run)).tolist() for run in runs}
    assert len({tuple(order) for order in orders.values()}) == 4
    assert np.concatenate(epoch_plan(lengths, 8, 1, 1)).tolist() == orders[1, 1]


def test_batches_do_not_come_in_order_of_length():
    lengths = np.arange(1, 401)
    means = [lengths[part].mean() for part in epoch_plan(lengths, 8, 0, 0)]
    assert means != sorted(means)
    assert means != sorted(means, reverse=True)


def test_rows_are_padded_to_the_longest_of_the_batch(world):
    tokens = world.data.dev
    indices = np.array([5, 0, 17])
    batch = collate(tokens, indices)
    lengths = row_lengths(tokens)[indices]
    assert batch.input_ids.shape == batch.attention_mask.shape == (3, lengths.max())
    assert batch.attention_mask.sum(1).tolist() == lengths.tolist()
    for row, index in enumerate(indices):
        assert batch.input_ids[row, : lengths[row]].tolist() == tokens.tokens(index).tolist()
        assert batch.input_ids[row, lengths[row] :].sum() == 0
    assert batch.labels.tolist() == tokens.labels[indices].tolist()
    assert batch.labels.dtype == torch.int64


def test_a_plan_is_collated_in_its_order(world):
    plan = [np.array([3, 1]), np.array([2])]
    assert [batch.indices.tolist() for batch in batches(world.data.dev, plan)] == [[3, 1], [2]]
