from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import BertForSequenceClassification

from edgedistil.models import EdgeBertHeadModel, from_checkpoint, keep
from edgedistil.models.narrow import narrowed, principal_basis, split_rank

Batch = tuple[Tensor, Tensor]
WHOLE = {"hidden_size": 32, "heads": 4, "ffn": 64}


def states(model: EdgeBertHeadModel, batch: Batch) -> Tensor:
    with torch.no_grad():
        return model(*batch, output_hidden_states=True).hidden_states[-1][batch[1].bool()]


@pytest.mark.parametrize("sizes", [{}, {"ffn": 80}, {"heads": 2}, {"heads": 2, "ffn": 128}])
def test_widths_that_take_everything_leave_the_function_as_it_was(
    small_bert: BertForSequenceClassification, batch: Batch, sizes: dict[str, int]
) -> None:
    model = from_checkpoint(small_bert)
    if sizes.get("heads") == 2:
        # Two heads of 16 hold what two of 8 do; the other two are gone before.
        model = keep(model, [[0, 3]] * 4, [range(64)] * 4)
    made = narrowed(model, **WHOLE | sizes)
    assert (made.config.heads, made.config.ffn) == ([sizes.get("heads", 4)] * 4, [sizes.get("ffn", 64)] * 4)
    with torch.no_grad():
        torch.testing.assert_close(made(*batch).logits, model(*batch).logits, atol=1e-3, rtol=1e-3)


def test_states_in_a_subspace_survive_a_narrower_stream(
    small_bert: BertForSequenceClassification, batch: Batch
) -> None:
    model = from_checkpoint(small_bert)
    found = {}
    for width in (8, 16, 24, 31):
        made = narrowed(model, hidden_size=width, heads=1, ffn=64, text=[batch])
        assert (made.config.hidden_size, made.config.head_size) == (width, width)
        mine = torch.cat([states(made, batch), torch.ones(int(batch[1].sum()), 1)], 1)
        assert torch.linalg.matrix_rank(mine) <= width + 1
        assert made.encoder.layers[0].ffn.up.weight.shape == (64, width)
        found[width] = made.encoder.embeddings.word.weight.square().sum().item()
    whole = model.encoder.embeddings.word.weight.square().sum().item()
    assert sorted(found.values()) == list(found.values())
    assert found[31] < whole


def test_a_narrower_start_is_nearer_than_a_fresh_one(small_bert: BertForSequenceClassification, batch: Batch) -> None:
    model = from_checkpoint(small_bert)
    for head in model.encoder.layers:
        for value in head.parameters():
            value.data.mul_(0.5)
    made = narrowed(model, hidden_size=28, heads=4, ffn=60, text=[batch])
    torch.manual_seed(0)
    fresh = type(made)(made.config).eval()

    def unexplained(student: EdgeBertHeadModel) -> float:
        mine, wanted = states(student, batch), states(model, batch)
        centred = wanted - wanted.mean(0)
        # Half of the tokens choose the map, the other half judge it, by a ridge that 21 tokens can bear.
        inputs = mine - mine.mean(0)
        ridge = torch.linalg.solve(inputs[::2].T @ inputs[::2] + torch.eye(28), inputs[::2].T @ centred[::2])
        return float((centred[1::2] - inputs[1::2] @ ridge).square().sum() / centred[1::2].square().sum())

    assert unexplained(made) < 0.6 * unexplained(fresh)


def test_a_layer_without_heads_or_neurons_gets_fresh_ones(small_bert: BertForSequenceClassification) -> None:
    model = keep(from_checkpoint(small_bert), [[], [0], [0, 1, 2, 3], []], [[], range(3), range(64), []])
    made = narrowed(model, hidden_size=24, heads=4, ffn=32)
    assert made.encoder.layers[0].attention.query.weight.abs().sum() > 0
    assert not made.encoder.layers[0].attention.output.weight.any()
    assert not made.encoder.layers[0].ffn.down.weight.any()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 99))
def test_factors_are_the_best_of_their_rank(rows: int, rank: int, seed: int) -> None:
    torch.manual_seed(seed)
    left, right = torch.randn(rows, 9).double(), torch.randn(rows, 7).double()
    one, two = split_rank(left, right, rank)
    assert (tuple(one.shape), tuple(two.shape)) == ((rank, 9), (rank, 7))
    lost = (left.T @ right - one.T @ two).norm()
    values = torch.linalg.svdvals(left.T @ right)
    torch.testing.assert_close(lost, values[rank:].norm(), atol=1e-8, rtol=1e-6)


def test_the_basis_holds_what_varies_most() -> None:
    torch.manual_seed(1)
    spread = torch.tensor([9.0, 5.0, 3.0, 0.1, 0.1])
    basis = principal_basis([torch.randn(400, 5) * spread], 3)
    torch.testing.assert_close(basis.T @ basis, torch.eye(3).double(), atol=1e-9, rtol=0)
    assert basis[:3].square().sum() > 2.99
