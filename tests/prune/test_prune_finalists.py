from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgedistil.models import EdgeBertForSequenceClassification
from edgedistil.progress import SilentProgress
from edgedistil.prune import Counted, PruneSettings, Scores, choose, prune, score_model
from edgedistil.prune.costs import allowance, model_cost
from edgedistil.prune.finalists import even_choices, nearest_refitted
from edgedistil.prune.local_search import distance_to
from edgedistil.prune.prune import remove_blocks
from edgedistil.prune.refit import refitted

Batches = list[tuple[Tensor, ...]]
SETTINGS = PruneSettings(0.5, block=8, refit=True, local_search=6)


@pytest.fixture
def scores(model: EdgeBertForSequenceClassification, batches: Batches) -> Scores:
    return score_model(model, batches, SETTINGS)


def unevenness(scores: Scores, levels: list[int]) -> float:
    shares = [level / len(each.blocks) for level, each in zip(levels, scores.sublayers, strict=True)]
    return float(torch.tensor(shares).std())


def test_even_choices_spread_the_removal_within_the_budget(
    model: EdgeBertForSequenceClassification, scores: Scores
) -> None:
    costs = Counted("parameters")
    levels = choose(model, scores, SETTINGS, costs)
    made = even_choices(model, scores, levels, SETTINGS, costs)
    for each in made:
        smaller, _, _ = remove_blocks(model, scores.sublayers, scores.scored, each)
        spent = model_cost(costs, smaller.config) - costs.rest(model.config)
        assert spent <= allowance(SETTINGS, costs, model.config)
    assert unevenness(scores, made[-1]) < unevenness(scores, levels)


def test_the_choice_whose_refitted_model_is_nearest_stays(
    model: EdgeBertForSequenceClassification, batches: Batches, scores: Scores
) -> None:
    """Judged on the batches between those that solving looks at: every second one."""
    choices = [[1] * len(scores.sublayers), [len(each.blocks) // 2 for each in scores.sublayers]]
    choices.append([0, *choices[0][1:]])
    apart = distance_to(model, batches[1::2])
    made = [remove_blocks(model, scores.sublayers, scores.scored, each)[0] for each in choices]
    distances = [apart(refitted(each, model, batches[::2])) for each in made]
    found = nearest_refitted(model, scores, [*choices, choices[0]], batches, SilentProgress())
    assert found == choices[distances.index(min(distances))]
    assert len(set(distances)) == len(choices)


def test_what_is_refitted_is_chosen_after_refitting(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    plain = prune(model, batches, PruneSettings(0.5, block=8, refit=True))
    asked = prune(model, batches, SETTINGS)
    apart = distance_to(model, batches[1::2])
    assert asked.share <= 0.5
    assert apart(asked.model) <= apart(plain.model)
