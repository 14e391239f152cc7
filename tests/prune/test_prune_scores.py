from __future__ import annotations

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgedistil.models import EdgeBertForSequenceClassification, keep
from edgedistil.models.modelling import MODELS
from edgedistil.progress import SilentProgress
from edgedistil.prune import GroupLasso, PruneSettings, prune
from edgedistil.prune.blocks import Sublayer, sublayers_of
from edgedistil.prune.fisher import collect_fisher, loss_of, quadratic
from edgedistil.prune.local_search import distance_to
from edgedistil.prune.rearrange import swap
from edgedistil.prune.refit import refitted
from edgedistil.prune.regroup import regrouped
from edgedistil.prune.rescale import hear, rescaled
from edgedistil.prune.scores.fisher import diagonal_curve, greedy_curve

Batches = list[tuple[Tensor, ...]]


def labelled(batches: Batches) -> Batches:
    generator = torch.Generator().manual_seed(3)
    return [(ids, mask, torch.randint(0, 3, (len(ids),), generator=generator)) for ids, mask in batches]


def logit_distance(
    model: EdgeBertForSequenceClassification, original: EdgeBertForSequenceClassification, batches: Batches
) -> float:
    return distance_to(original, batches)(model)


def positive(seed: int, size: int) -> Tensor:
    root = torch.randn(size, size + 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return root @ root.T


def masked_loss(
    model: EdgeBertForSequenceClassification, sublayer: Sublayer, block: int, value: float, row: tuple[Tensor, ...]
) -> Tensor:
    """One text's loss with one block's mask at some value."""
    columns = torch.ones(sum(len(each) for each in sublayer.blocks))
    columns[list(sublayer.blocks[block])] = value
    handle = sublayer.output(model).register_forward_pre_hook(lambda _m, inputs: (inputs[0] * columns,))
    with torch.no_grad():
        loss = loss_of(model, model(row[0], row[1]).logits, row[2])
    handle.remove()
    return loss


def test_fisher_is_the_outer_product_of_each_texts_mask_gradients(
    model: EdgeBertForSequenceClassification, batches: Batches
) -> None:
    model = model.double()
    few = [tuple(part[:5] for part in batch) for batch in labelled(batches)[1:2]]
    sublayers = [sublayers_of(model.config, 8)[number] for number in (0, 3)]
    found = collect_fisher(model, few, sublayers, SilentProgress())
    step = 1e-4
    for sublayer, fisher in zip(sublayers, found, strict=True):
        gradients = torch.zeros(5, len(sublayer.blocks), dtype=torch.float64)
        for text, block in itertools.product(range(5), range(len(sublayer.blocks))):
            row = tuple(part[text : text + 1] for part in few[0])
            up, down = (masked_loss(model, sublayer, block, value, row) for value in (1 + step, 1 - step))
            gradients[text, block] = (up - down) / (2 * step)
        torch.testing.assert_close(fisher, gradients.T @ gradients / 5, rtol=1e-3, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), size=st.integers(2, 6))
def test_fisher_curves_are_the_quadratic_form(seed: int, size: int) -> None:
    fisher = positive(seed, size)
    curve = greedy_curve(fisher)
    for level in range(1, size + 1):
        truth = max(quadratic(fisher, curve.order[:count]) for count in range(1, level + 1))
        assert curve.errors[level] == pytest.approx(truth)
    plain = diagonal_curve(fisher)
    assert plain.errors[-1] == pytest.approx(0.5 * float(fisher.trace()))
    assert list(plain.errors) == sorted(plain.errors)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), size=st.integers(2, 7), data=st.data())
def test_swaps_end_where_no_single_swap_helps(seed: int, size: int, data: st.DataObject) -> None:
    fisher = positive(seed, size)
    start = list(range(data.draw(st.integers(1, size - 1))))
    gone = swap(fisher, start)
    assert len(set(gone)) == len(start)
    best = quadratic(fisher, gone)
    assert best <= quadratic(fisher, start) + 1e-9
    for out, back in itertools.product(set(range(size)) - set(gone), gone):
        assert quadratic(fisher, [*(set(gone) - {back}), out]) >= best - 1e-9


def test_swaps_end_where_nothing_can_be_told() -> None:
    assert sorted(swap(torch.full((4, 4), torch.nan, dtype=torch.float64), [0, 1])) == [0, 1]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), size=st.integers(3, 7), narrow=st.booleans())
def test_swaps_keep_how_wide_the_removed_blocks_are_together(seed: int, size: int, narrow: bool) -> None:
    fisher, widths = positive(seed, size), [16] * (size - 1) + [8]
    start = [size - 1, 0] if narrow else [0, 1]
    assert sum(widths[block] for block in swap(fisher, start, widths)) == sum(widths[block] for block in start)


@pytest.mark.parametrize("amount", [0.35, 0.75])
def test_rearranging_narrow_blocks_keeps_the_budget(
    model: EdgeBertForSequenceClassification, batches: Batches, amount: float
) -> None:
    """An FFN of 40 neurons in blocks of 16 ends in one of 8."""
    plain = prune(model, labelled(batches), PruneSettings(amount, block=16, score="magnitude"))
    asked = prune(model, labelled(batches), PruneSettings(amount, block=16, score="magnitude", rearrange=True))
    assert asked.share <= amount
    assert asked.model.config.ffn == plain.model.config.ffn
    assert (asked.heads_kept, asked.ffn_kept) != (plain.heads_kept, plain.ffn_kept)


def test_group_lasso_empties_what_is_small_and_leaves_the_rest(model: EdgeBertForSequenceClassification) -> None:
    sublayers = sublayers_of(model.config, 8)
    with torch.no_grad():
        model.encoder.layers[0].ffn.up.weight[8:16] *= 0.05
        model.encoder.layers[0].ffn.down.weight[:, 8:16] *= 0.05
        model.encoder.layers[2].attention.output.weight[:, 6:12] *= 0.05
        for part in ("query", "key", "value"):
            getattr(model.encoder.layers[2].attention, part).weight[6:12] *= 0.05
    lasso = GroupLasso(model, sublayers, strength=1e-2)
    before = [norms.detach().clone() for norms in lasso.squared_norms()]
    groups = sum(len(sublayer.blocks) for sublayer in sublayers)
    assert 0.9 * 1e-2 * groups < float(lasso.penalty().detach()) <= 1e-2 * groups
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    for number in range(40):
        optimiser.zero_grad()
        lasso.penalty().backward()
        optimiser.step()
        if number % 10 == 9:
            lasso.reweight()
    names = [sublayer.name for sublayer in sublayers]
    share = [(after / first).detach() for after, first in zip(lasso.squared_norms(), before, strict=True)]
    small = {("layer 0 ffn", 1), ("layer 2 attention", 1)}
    for name, ratio in zip(names, share, strict=True):
        for block, left in enumerate(ratio.tolist()):
            assert (left < 0.9) == ((name, block) in small)
    result = prune(model, [], PruneSettings(0.97, block=8, score="group_lasso"))
    assert set(result.ffn_kept[0]) == {*range(8), *range(16, 40)}


def test_group_lasso_weighs_heads_and_neurons_whatever_the_size_of_their_weights(
    model: EdgeBertForSequenceClassification,
) -> None:
    settings = PruneSettings(0.6, block=8, score="group_lasso")
    before = prune(model, [], settings)
    with torch.no_grad():
        for layer in model.encoder.layers:
            for part in (layer.attention.query, layer.attention.key, layer.attention.value, layer.attention.output):
                part.weight *= 0.1
    assert prune(model, [], settings).levels == before.levels
    assert any(before.heads_kept)
    assert any(before.ffn_kept)


def test_regrouped_neurons_lose_less(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    with torch.no_grad():
        model.encoder.layers[1].ffn.down.weight[:, ::2] *= 0.02
    grouped = regrouped(model, batches, sublayers_of(model.config, 8), 1e-2)
    ffn = next(each for each in grouped if each.name == "layer 1 ffn")
    assert sorted(column for block in ffn.blocks for column in block) == list(range(40))
    assert all(column % 2 == 0 for block in ffn.blocks[:2] for column in block)
    plain = prune(model, batches, PruneSettings(0.7, block=8))
    better = prune(model, batches, PruneSettings(0.7, block=8, regroup=True))
    assert better.predicted_error < 0.9 * plain.predicted_error
    assert logit_distance(better.model, model, batches) < logit_distance(plain.model, model, batches)


def test_rescaling_brings_the_outputs_nearer(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    settings_ = PruneSettings(0.6, block=8, score="fisher")
    cut = prune(model, labelled(batches), settings_)
    tuned = rescaled(cut.model, model, batches, block=8)
    assert tuned.config.heads == cut.model.config.heads
    assert logit_distance(tuned, model, batches) < 0.95 * logit_distance(cut.model, model, batches)


def test_rescaling_an_unpruned_model_changes_nothing(
    model: EdgeBertForSequenceClassification, batches: Batches
) -> None:
    tuned = rescaled(model, model, batches, block=8)
    assert logit_distance(tuned, model, batches) < 1e-9


@pytest.mark.parametrize("score", ["obs", "fisher"])
def test_refitting_brings_the_outputs_nearer(
    model: EdgeBertForSequenceClassification, batches: Batches, score: str
) -> None:
    cut = prune(model, labelled(batches), PruneSettings(0.4, block=8, score=score))
    asked = prune(model, labelled(batches), PruneSettings(0.4, block=8, score=score, refit=True))
    assert asked.model.config.heads == cut.model.config.heads
    assert logit_distance(asked.model, model, batches) < 0.9 * logit_distance(cut.model, model, batches)


def test_refitting_solves_the_normal_equations(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    model = model.double()
    half = [range(size // 2) for size in model.config.heads], [range(size // 2) for size in model.config.ffn]
    tuned = refitted(keep(model, *half), model, batches, damping=1e-9)
    inputs, outputs, wanted = [], [], []
    for batch in batches:
        small, whole = (each.encoder.layers[0] for each in (tuned, model))
        columns, found = hear(tuned, [small.attention.output, small.attention_norm], batch)
        inputs.append(columns)
        outputs.append(found)
        wanted.extend(hear(model, [whole.attention_norm], batch))
    missing, columns = torch.cat(wanted) - torch.cat(outputs), torch.cat(inputs)
    assert missing.abs().max() > 1e-3
    assert missing.mean(0).abs().max() < 1e-9
    assert (columns.T @ missing / len(columns)).abs().max() < 1e-6


def test_refitting_a_layer_without_heads_or_neurons_moves_its_bias(
    model: EdgeBertForSequenceClassification, batches: Batches
) -> None:
    heads, ffn = model.config.heads, model.config.ffn
    nothing = [range(0)] + [range(size) for size in heads[1:]], [range(0)] + [range(size) for size in ffn[1:]]
    cut = keep(model, *nothing)
    tuned = refitted(cut, model, batches)
    assert tuned.config.heads[0] == tuned.config.ffn[0] == 0
    assert not torch.equal(tuned.encoder.layers[0].ffn.down.bias, cut.encoder.layers[0].ffn.down.bias)
    assert logit_distance(tuned, model, batches) < logit_distance(cut, model, batches)


def test_refitting_an_unpruned_model_changes_nothing(
    model: EdgeBertForSequenceClassification, batches: Batches
) -> None:
    assert logit_distance(refitted(model, model, batches), model, batches) < 1e-9


def test_local_search_is_never_farther_and_keeps_the_budget(
    model: EdgeBertForSequenceClassification, batches: Batches
) -> None:
    plain = prune(model, batches, PruneSettings(0.5, block=8))
    searched = prune(model, batches, PruneSettings(0.5, block=8, local_search=25))
    assert searched.share <= 0.5
    assert logit_distance(searched.model, model, batches) <= logit_distance(plain.model, model, batches)


@pytest.mark.parametrize("head", ["span", "token", "sequence"])
def test_the_distance_sees_what_the_softmax_sees(
    model: EdgeBertForSequenceClassification, batches: Batches, head: str
) -> None:
    """What moves all logits of a softmax alike is no distance; of a span it goes over the tokens, else the labels."""
    config = copy.deepcopy(model.config)
    config.head, config.num_labels = head, 2
    torch.manual_seed(5)
    original = MODELS[head](config).eval()
    start, both = copy.deepcopy(original), copy.deepcopy(original)
    with torch.no_grad():
        start.classifier.bias[0] += 3
        both.classifier.bias += 3
    assert logit_distance(both, original, batches) < 1e-8
    if head == "span":
        assert logit_distance(start, original, batches) < 1e-8
    else:
        assert logit_distance(start, original, batches) > 1


def test_a_start_that_takes_the_ends_part_is_a_distance(
    model: EdgeBertForSequenceClassification, batches: Batches
) -> None:
    """Start and end move together, but not alike at every token."""
    config = copy.deepcopy(model.config)
    config.head, config.num_labels = "span", 2
    torch.manual_seed(5)
    original = MODELS["span"](config).eval()
    moved = copy.deepcopy(original)
    with torch.no_grad():
        moved.classifier.weight += torch.randn(config.hidden_size)
    assert logit_distance(moved, original, batches) > 1
