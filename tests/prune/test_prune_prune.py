from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from edgedistil.errors import UsageError
from edgedistil.models import (
    EdgeBertForSequenceClassification,
    count_macs,
    count_parameters,
    keep,
    load_model,
    masked,
    save_model,
)
from edgedistil.progress import SilentProgress
from edgedistil.prune import PruneSettings, prune
from edgedistil.prune.blocks import sublayers_of
from edgedistil.prune.prune import remove_blocks
from edgedistil.prune.scores import Request, get_score, score_names

Batches = list[tuple[Tensor, Tensor]]


def distance(one: EdgeBertForSequenceClassification, other: EdgeBertForSequenceClassification, at: Batches) -> float:
    with torch.no_grad():
        return float(sum((one(*batch).logits - other(*batch).logits).square().sum() for batch in at))


@pytest.mark.parametrize("budget", ["parameters", "macs"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9, 1.0])
def test_the_budget_is_never_exceeded(
    model: EdgeBertForSequenceClassification, batches: Batches, budget: str, share: float
) -> None:
    result = prune(model, batches, PruneSettings(share, budget, block=8, sequence_length=20))
    if budget == "parameters":
        before, after = count_parameters(model.config), count_parameters(result.model.config)
    else:
        before, after = count_macs(model.config, 20), count_macs(result.model.config, 20)
    assert after.blocks <= share * before.blocks
    assert after.blocks / before.blocks == pytest.approx(result.share)
    # No block that would still fit was taken away.
    largest = max(before.attention[0] // 4, before.ffn[0] // 5)
    assert after.blocks > share * before.blocks - largest
    assert result.model.config.heads == [len(kept) for kept in result.heads_kept]
    assert result.model.config.ffn == [len(kept) for kept in result.ffn_kept]


def test_a_share_of_one_changes_nothing(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    result = prune(model, batches, PruneSettings(1.0, block=8))
    assert distance(result.model, model, batches) == 0
    assert result.predicted_error == 0


def test_shrunk_is_masked_and_smaller_on_disk(
    model: EdgeBertForSequenceClassification, batches: Batches, tmp_path: Path
) -> None:
    sublayers = sublayers_of(model.config, 8)
    request = Request(model, batches, sublayers, 1e-2, SilentProgress())
    scored = get_score("obs")(request)
    levels = [2, 4, 4, 1, 0, 5]
    small, heads, neurons = remove_blocks(model, sublayers, scored, levels)
    updated = copy.deepcopy(model)
    with torch.no_grad():
        for sublayer, each, level in zip(sublayers, scored, levels, strict=True):
            weight, bias = each.rebuild(sublayer.columns(each.curve.kept(level)))
            sublayer.output(updated).weight.copy_(weight)
            sublayer.output(updated).bias.copy_(bias)
    with torch.no_grad():
        for batch in batches:
            expected = masked(updated, heads, neurons)(*batch).logits
            torch.testing.assert_close(small(*batch).logits, expected, atol=1e-5, rtol=1e-5)
    assert small.config.heads == [2, 0, 4]
    assert small.config.ffn == [8, 32, 0]
    for name, which in (("before", model), ("after", small)):
        save_model(which, tmp_path / name)
    before, after = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("before", "after"))
    assert after < before
    assert distance(load_model(tmp_path / "after"), small, batches) == 0


def test_the_updated_weights_are_nearer_than_cut_ones(
    model: EdgeBertForSequenceClassification, batches: Batches
) -> None:
    result = prune(model, batches, PruneSettings(0.6, block=8))
    cut = keep(model, result.heads_kept, result.ffn_kept)
    assert distance(result.model, model, batches) < 0.7 * distance(cut, model, batches)


def test_useless_blocks_go_first(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    with torch.no_grad():
        model.encoder.layers[1].ffn.down.weight[:, 8:32] = 0
        model.encoder.layers[2].attention.output.weight[:, 6:12] = 0
    result = prune(model, batches, PruneSettings(0.85, block=8))
    assert set(result.ffn_kept[1]) <= {*range(8), *range(32, 40)}
    assert 1 not in result.heads_kept[2]
    sublayer = [s.name for s in result.sublayers].index("layer 1 ffn")
    assert set(result.curves[sublayer].order[:3]) == {1, 2, 3}
    assert result.curves[sublayer].errors[3] == pytest.approx(0, abs=1e-9)


def test_the_same_input_gives_the_same_model(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    one, other = (prune(model, batches, PruneSettings(0.5, block=8)) for _ in range(2))
    assert one.levels == other.levels
    assert distance(one.model, other.model, batches) == 0


@pytest.mark.parametrize(
    "more",
    [{"local_search": 6}, {"local_search": 4, "refit": True}, {"rescale": True}, {"rearrange": True}],
)
def test_a_model_in_training_gives_the_same_and_stays_in_training(
    model: EdgeBertForSequenceClassification, batches: Batches, more: dict[str, Any]
) -> None:
    first = prune(model, batches, PruneSettings(0.5, block=8, **more)).model.state_dict()
    second = prune(model.train(), batches, PruneSettings(0.5, block=8, **more)).model.state_dict()
    assert model.training
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_pruned_model_can_be_pruned_again(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    uneven = keep(model, [[0], [], [1, 2]], [range(13), range(40), []])
    result = prune(uneven, batches, PruneSettings(0.5, block=8))
    assert len(result.sublayers) == 4
    assert count_parameters(result.model.config).blocks <= 0.5 * count_parameters(uneven.config).blocks


@pytest.mark.parametrize("name", score_names())
def test_every_score_ends_with_nothing_left(
    model: EdgeBertForSequenceClassification, batches: Batches, name: str
) -> None:
    sublayers = sublayers_of(model.config, 16)
    scored = get_score(name)(Request(model, batches, sublayers, 1e-2, SilentProgress()))
    for sublayer, each in zip(sublayers, scored, strict=True):
        assert sorted(each.curve.order) == list(range(len(sublayer.blocks)))
        assert each.curve.errors[0] == 0
        assert list(each.curve.errors) == sorted(each.curve.errors)
        weight, bias = each.rebuild([])
        assert weight.count_nonzero() == 0
        assert bias.shape == (24,)


def test_magnitude_removes_the_smallest_columns(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    with torch.no_grad():
        model.encoder.layers[0].ffn.down.weight[:, 16:24] *= 0.01
    result = prune(model, [], PruneSettings(0.98, block=8, score="magnitude"))
    assert result.ffn_kept[0] == [*range(16), *range(24, 40)]
    assert distance(result.model, keep(model, result.heads_kept, result.ffn_kept), batches) == 0


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"amount": 0.0}, "prune.parameters: a pruning budget of 0 is not a share; give a number above 0"),
        ({"amount": -0.5}, "a pruning budget of -0.5 is not a share"),
        ({"amount": 1.01}, "a pruning budget of 1.01 is not a share"),
        ({"amount": float("nan")}, "a pruning budget of nan is not a share"),
        ({"amount": 0.5, "budget": "mac"}, "no pruning budget is called 'mac'; did you mean 'macs'?"),
        ({"amount": 0.5, "damping": 0.0}, "a damping of 0 leaves the Hessian without an inverse"),
        ({"amount": 0.5, "block": 0}, "block and sequence_length must be at least 1"),
    ],
)
def test_bad_settings_are_one_line(settings: dict[str, object], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        PruneSettings(**settings)
    assert line in str(caught.value)


def test_a_budget_that_leaves_nothing_is_refused(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    with pytest.raises(UsageError, match="leaves no head and no FFN block; raise it"):
        prune(model, batches, PruneSettings(0.001, block=32))


def test_an_unknown_score_is_refused(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    with pytest.raises(UsageError, match="no block score is called 'magnitud'; did you mean 'magnitude'"):
        prune(model, batches, PruneSettings(0.5, score="magnitud"))


def test_a_model_with_nothing_to_prune_is_refused(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    bare = keep(model, [[], [], []], [[], [], []])
    with pytest.raises(UsageError, match="no heads and no FFN neurons to prune"):
        prune(bare, batches, PruneSettings(0.5))
