from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_rows import KINDS, random_rows

from edgedistil.distil.batches import collate
from edgedistil.distil.rows import JoinedTokens, row_lengths, total_tokens
from edgedistil.errors import UsageError


@pytest.mark.parametrize("kind", KINDS)
def test_joined_sets_are_one_set(kind: str):
    first, second = random_rows(kind, 7, 1), random_rows(kind, 5, 2, labelled=False)
    joined = JoinedTokens([first, second])
    assert (len(joined), joined.kind) == (12, kind)
    assert total_tokens(joined) == len(first.input_ids) + len(second.input_ids)
    assert row_lengths(joined).tolist() == [*row_lengths(first), *row_lengths(second)]
    batch = collate(joined, np.array([6, 7, 11, 0]))
    for place, (rows, own) in enumerate([(first, 6), (second, 0), (second, 4), (first, 0)]):
        alone = collate(rows, np.array([own]))
        length = alone.input_ids.shape[1]
        assert torch.equal(batch.input_ids[place, :length], alone.input_ids[0])
        assert batch.attention_mask[place].sum() == length
        label = batch.labels[place, :length] if kind == "tags" else batch.labels[place]
        torch.testing.assert_close(label, alone.labels[0], equal_nan=True)
        assert batch.input_ids[place, length:].sum() == 0
    known = (batch.labels[[0, 3]] >= 0).all(-1) if kind == "span" else batch.labels[[0, 3]] >= 0
    assert batch.units()["labelled"] == int(known.sum()), "rows that nobody labelled are not counted"


def test_sets_of_two_kinds_are_not_joined():
    with pytest.raises(UsageError, match="token sets of the kinds class, tags cannot be joined"):
        JoinedTokens([random_rows("class", 3, 1), random_rows("tags", 3, 1)])


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_a_batch_are_its_rows_without_needless_padding(kind: str):
    rows = random_rows(kind, 11, 3)
    whole = collate(rows, np.arange(11))
    parts = [whole.part(number, 4) for number in range(4)]
    assert sorted(np.concatenate([part.indices for part in parts])) == list(range(11))
    for part in parts:
        assert part.input_ids.shape == (len(part), row_lengths(rows)[part.indices].max())
        alone = collate(rows, part.indices)
        assert torch.equal(part.input_ids, alone.input_ids)
        assert torch.equal(part.labels, alone.labels)
    assert len(whole.part(11, 12)) == 0
    for unit, count in whole.units().items():
        assert count == sum(part.units()[unit] for part in parts)
