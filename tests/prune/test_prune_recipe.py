from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgedistil.prune.scores import score_names
from edgedistil.recipe.pruning import SCORES
from edgedistil.recipe.schema import Prune


@pytest.mark.parametrize(
    ("fields", "budget", "share"),
    [
        ({"parameters": 0.4}, ("parameters", 0.4), 0.4),
        ({"macs": 0.4}, ("macs", 0.4), 0.4),
        ({"latency_ms": 8}, ("latency_ms", 8.0), 0.5),
        ({"speedup": 2}, ("speedup", 2.0), 0.5),
        ({"size_mb": 12}, ("size_mb", 12.0), 0.5),
        ({"targets": [1.5, 2, 4]}, ("speedup", 4.0), 0.25),
    ],
)
def test_one_budget_is_named(fields: dict[str, object], budget: tuple[str, float], share: float) -> None:
    section = Prune.model_validate(fields)
    assert section.budget == budget
    assert section.expected_share == share


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "name one budget"),
        ({"speedup": 2, "latency_ms": 8}, "name one budget"),
        ({"targets": [2, 1.5]}, "targets must rise"),
        ({"targets": [2, 2]}, "targets must rise"),
        ({"speedup": 0.5}, "greater than or equal to 1"),
        ({"latency_ms": 0}, "greater than 0"),
        ({"size_mb": -1}, "greater than 0"),
    ],
)
def test_other_budgets_are_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Prune.model_validate(fields)


def test_the_key_of_an_older_recipe_stays() -> None:
    assert set(Prune(parameters=0.5).key({"recover"})) == {
        "parameters",
        "macs",
        "score",
        "block",
        "calibration_examples",
    }
    assert Prune(speedup=2.0, regroup=True).key({"recover"})["speedup"] == 2.0


def test_what_no_training_mends_is_searched_and_refitted() -> None:
    """The values that a recipe leaves out follow its training; those it names stay."""
    assert [(prune.candidates, prune.refits) for prune in (Prune(speedup=2.0), Prune(speedup=2.0, recover=None))] == [
        (0, False),
        (30, True),
    ]
    asked = Prune(speedup=2.0, recover=None, local_search=0, refit=False)
    assert (asked.candidates, asked.refits) == (0, False)


def test_a_vocabulary_needs_no_budget() -> None:
    assert not Prune.model_validate({"vocabulary": {}}).has_budget
    assert Prune.model_validate({"vocabulary": {}, "size_mb": 3}).has_budget


def test_recipes_know_every_score() -> None:
    assert sorted(SCORES) == score_names()
