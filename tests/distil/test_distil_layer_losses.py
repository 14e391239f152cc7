from __future__ import annotations

import math

import pytest
import torch
from loss_inputs import MASK, REAL, given, kl, loss
from torch import Tensor

from edgedistil.distil.adapters import Adapters
from edgedistil.distil.following import Following
from edgedistil.distil.losses.base import LossInputs, Outputs, Projection
from edgedistil.errors import UsageError


def drawn(width: int, *layers: int) -> dict[int, Tensor]:
    return {layer: torch.randn(2, 4, width) for layer in layers}


def states(student: dict[int, Tensor], teacher: dict[int, Tensor], **more: object) -> LossInputs:
    return given(Outputs(None, student), Outputs(None, teacher), **more)


def test_hidden_states_are_compared_on_real_tokens_and_averaged_over_mapped_layers():
    student, teacher = (
        {1: torch.randn(2, 4, 6), 2: torch.randn(2, 4, 6)},
        {2: torch.randn(2, 4, 6), 4: torch.randn(2, 4, 6)},
    )
    pairs = ((1, 2), (2, 4))
    value = loss("hidden_states", states(student, teacher, following=Following(pairs=pairs)))
    expected = sum(
        (float(student[own][place][unit]) - float(teacher[theirs][place][unit])) ** 2 / 6 / 2
        for own, theirs in pairs
        for place in REAL
        for unit in range(6)
    )
    assert float(value) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["hidden_states", "cosine"])
def test_padding_gets_no_gradient(name: str):
    student = torch.randn(2, 4, 6, requires_grad=True)
    following = Following(pairs=((1, 1),), last=(1, 1))
    loss(name, states({1: student}, {1: torch.randn(2, 4, 6)}, following=following)).backward()
    assert torch.equal(student.grad.abs().sum(-1) > 0, MASK.bool())


def test_a_narrower_student_follows_through_learned_projections():
    adapters = Adapters(3, 6, seed=0)
    student, teacher = (
        {0: torch.randn(2, 4, 3), 1: torch.randn(2, 4, 3)},
        {0: torch.randn(2, 4, 6), 2: torch.randn(2, 4, 6)},
    )
    following = Following(pairs=((0, 0), (1, 2)))
    value = loss("hidden_states", states(student, teacher, following=following, adapters=adapters))
    value.backward()
    wide = {0: student[0] @ adapters.embeddings.weight.T, 1: student[1] @ adapters.states.weight.T}
    expected = sum(
        float((wide[own] - teacher[theirs])[place].detach().square().mean()) / 2
        for own, theirs in following.pairs
        for place in REAL
    )
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)
    assert adapters.states.weight.grad.any()
    assert adapters.embeddings.weight.grad.any()
    assert torch.equal(Adapters(3, 6, seed=0).states.weight, adapters.states.weight)
    with pytest.raises(ValueError, match="states of width 3 cannot follow 6 without adapters"):
        loss("hidden_states", states(student, teacher, following=following))


@pytest.mark.parametrize("name", ["hidden_states", "cosine"])
def test_states_that_are_missing_are_named(name: str):
    following = Following(pairs=((1, 2),), last=(1, 2))
    with pytest.raises(ValueError, match="hidden states of student layer 1 and teacher layer 2 are missing"):
        loss(name, states({1: torch.zeros(2, 4, 6)}, {}, following=following))


@pytest.mark.parametrize(("on", "pairs"), [("last", ((2, 4),)), ("layers", ((1, 2), (2, 4)))])
def test_cosine_is_one_minus_the_cosine_of_real_tokens(on: str, pairs: tuple):
    student, teacher = (
        {1: torch.randn(2, 4, 6), 2: torch.randn(2, 4, 6)},
        {2: torch.randn(2, 4, 6), 4: torch.randn(2, 4, 6)},
    )
    following = Following(pairs=((1, 2), (2, 4)), last=(2, 4), cosine_on=on)
    value = loss("cosine", states(student, teacher, following=following))
    expected = 0.0
    for own, theirs in pairs:
        for place in REAL:
            one, other = student[own][place], teacher[theirs][place]
            expected += float(1 - (one @ other) / (one.norm() * other.norm())) / len(pairs)
    assert float(value) == pytest.approx(expected, rel=1e-4)


def projection(width: int) -> Projection:
    return torch.randn(2, 4, width), torch.randn(2, 4, width), torch.randn(2, 4, width)


def projected(student: Projection, teacher: Projection, sizes: tuple[int, int], **options: object) -> LossInputs:
    return given(
        Outputs(None, projections={1: student}, head_size=sizes[0]),
        Outputs(None, projections={2: teacher}, head_size=sizes[1]),
        following=Following(pairs=((0, 0), (1, 2)), relation=(1, 2), **options),
    )


def scores(one: Tensor, other: Tensor, heads: int, row: int, head: int, query: int, length: int) -> list[float]:
    """Returns one query's scaled products with every real token, by the definition."""
    size = one.shape[-1] // heads
    part = slice(head * size, (head + 1) * size)
    return [float(one[row, query, part] @ other[row, key, part]) / math.sqrt(size) for key in range(length)]


@pytest.mark.parametrize("by", ["scores", "kl"])
def test_attention_maps_are_compared_head_by_head(by: str):
    student, teacher = projection(6), projection(12)  # 3 heads either way
    value = loss("attention_maps", projected(student, teacher, (2, 4), attention_by=by))
    expected = 0.0
    for row, query in REAL:
        length = (3, 2)[row]
        for head in range(3):
            own = scores(student[0], student[1], 3, row, head, query, length)
            theirs = scores(teacher[0], teacher[1], 3, row, head, query, length)
            squared = sum((a - b) ** 2 for a, b in zip(own, theirs, strict=True)) / length
            expected += (squared if by == "scores" else kl(theirs, own)) / 3
    assert float(value) == pytest.approx(expected, rel=1e-4)


def test_a_layer_that_has_no_heads_on_either_side_counts_for_nothing():
    student, teacher = projection(6), projection(12)
    one = projected(student, teacher, (2, 4))
    both = given(
        Outputs(None, projections={1: student, 2: projection(0)}, head_size=2),
        Outputs(None, projections={2: teacher, 3: projection(0)}, head_size=4),
        following=Following(pairs=((1, 2), (2, 3)), relation=(1, 2)),
    )
    assert loss("attention_maps", both) == loss("attention_maps", one)
    with pytest.raises(UsageError, match="attention_maps needs attention heads, and the student has none"):
        loss("attention_maps", projected(projection(0), projection(0), (2, 4)))


@pytest.mark.parametrize("section", ["distil", "prune.recover"])
def test_attention_maps_of_unequal_heads_point_to_relations(section: str):
    with pytest.raises(UsageError) as caught:
        loss("attention_maps", projected(projection(4), projection(12), (2, 4), section=section))
    assert caught.value.line() == (
        "attention_maps needs equal heads: student layer 1 has 2, teacher layer 2 has 3; "
        f"use {section}.losses.relations in its place, which needs none"
    )


@pytest.mark.parametrize(("width", "heads", "expected_heads"), [(8, None, 2), (12, None, 3), (8, 4, 4)])
def test_relations_are_compared_in_as_many_heads_on_both_sides(width: int, heads: int | None, expected_heads: int):
    student, teacher = projection(width), projection(12)
    value = loss("relations", projected(student, teacher, (4, 4), relation_heads=heads))
    expected = 0.0
    for row, query in REAL:
        length = (3, 2)[row]
        for own, theirs in zip(student, teacher, strict=True):
            for head in range(expected_heads):
                one = scores(own, own, expected_heads, row, head, query, length)
                other = scores(theirs, theirs, expected_heads, row, head, query, length)
                expected += kl(other, one) / expected_heads
    assert float(value) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", ["attention_maps", "relations"])
def test_padding_changes_no_attention(name: str):
    student, teacher = projection(12), projection(12)
    before = loss(name, projected(student, teacher, (4, 4)))
    for part in student:
        part[0, 3] = part[1, 2:] = 1e3
    assert float(loss(name, projected(student, teacher, (4, 4)))) == pytest.approx(float(before), rel=1e-5)
    assert float(loss(name, projected(teacher, teacher, (4, 4)))) == pytest.approx(0, abs=1e-5)


def test_relation_heads_must_fit_both():
    with pytest.raises(UsageError) as caught:
        loss("relations", projected(projection(8), projection(12), (4, 4), relation_heads=3))
    assert caught.value.line() == (
        "distil.relation_heads is 3, which does not divide projections 8 and 12 wide; choose one of: 1, 2, 4"
    )
    pruned = given(Outputs(None), Outputs(None), following=Following(relation=(0, 2)))
    with pytest.raises(UsageError, match="relations needs attention heads, and the student has none; set its weight"):
        loss("relations", pruned)


def numeric_gradient(name: str, inputs: LossInputs, tensor: Tensor, step: float = 1e-3) -> Tensor:
    gradient = torch.zeros_like(tensor)
    flat, into = tensor.detach().view(-1), gradient.view(-1)
    for place in range(len(flat)):
        kept = float(flat[place])
        flat[place] = kept + step
        above = float(loss(name, inputs).detach())
        flat[place] = kept - step
        into[place] = (above - float(loss(name, inputs).detach())) / (2 * step)
        flat[place] = kept
    return gradient


@pytest.mark.parametrize("name", ["attention_maps", "relations"])
def test_the_gradient_is_the_slope(name: str):
    student, teacher = projection(4), projection(4)
    query = student[0].requires_grad_()
    inputs = projected(student, teacher, (2, 2))
    loss(name, inputs).backward()
    torch.testing.assert_close(query.grad, numeric_gradient(name, inputs, query), rtol=0.05, atol=5e-3)
