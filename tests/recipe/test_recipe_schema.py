from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, ValidationError

from edgedistil.recipe import json_schema, parse_recipe
from edgedistil.recipe import schema as schema_module
from edgedistil.recipe.schema import Distil, Ramp, Recipe, Section, peak_weight, weight_at

SECTIONS = [
    value
    for value in vars(schema_module).values()
    if isinstance(value, type) and issubclass(value, Section) and value is not Section
]


def test_the_schema_is_json():
    assert json.loads(json.dumps(json_schema())) == json_schema()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_the_schema_covers_every_key_and_says_what_it_is(section: type[BaseModel]):
    part = section.model_json_schema()
    assert set(part["properties"]) == set(section.model_fields)
    assert part["additionalProperties"] is False
    fields = [name for name in vars(section)["__annotations__"] if name in section.model_fields]
    undescribed = {name for name in fields if not _says_what_it_is(part["properties"][name])}
    inherited = {name for base in section.__bases__ for name in getattr(base, "model_fields", {})}
    assert undescribed <= inherited, "only another default of a key that a parent describes may go without words"


def _says_what_it_is(key: dict) -> bool:
    return "description" in key or "$ref" in key or any("$ref" in form for form in key.get("anyOf", ()))


def test_a_recipe_does_not_change():
    recipe = parse_recipe("name: a\ndata: {train: a.tsv}\nteacher: {model: t}")
    with pytest.raises(ValidationError, match="frozen"):
        recipe.seed = 3


def test_a_recipe_survives_its_own_json():
    recipe = parse_recipe("name: a\ndata: {train: a.tsv}\nteacher: {model: t}\nprune: {macs: 0.25}")
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_a_key_leaves_out_what_came_later_until_it_is_used():
    recipe = parse_recipe("name: a\ndata: {train: a.tsv}\nteacher: {model: t}\nprune: {macs: 0.25}")
    distil = recipe.distil.key()
    assert "stages" not in distil
    assert distil["losses"] == {"soft_targets": 1.0, "hard_labels": 0.5, "hidden_states": 1.0}, "sections within too"
    assert recipe.prune is not None
    assert recipe.prune.key()["recover"] == Distil(epochs=2.0).key()
    changed = Distil(losses={"relations": {"start": 1, "end": 0}}, layer_map="skip", patience=3).key()
    added = {name: changed[name] for name in changed if name not in distil}
    assert added == {"layer_map": "skip", "patience": 3}
    ramp = {"start": 1.0, "end": 0.0, "shape": "linear", "from_share": 0.0, "to_share": 1.0}
    assert changed["losses"] == distil["losses"] | {"relations": ramp}


def test_a_key_of_stages_names_only_what_is_used():
    key = Distil(stages=[{"losses": {"cosine": 1}, "epochs": 1}]).key({"losses"})
    assert "losses" not in key
    losses = {"soft_targets": 0.0, "hard_labels": 0.0, "hidden_states": 0.0, "cosine": 1.0}
    assert key["stages"] == [{"losses": losses, "epochs": 1.0, "learning_rate": None}]
    assert json.loads(json.dumps(key)) == key


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_what_came_later_is_a_key_with_a_default(section: type[Section]):
    for name in section.LATER:
        assert not section.model_fields[name].is_required()


@pytest.mark.parametrize(
    ("shape", "weights"),
    [
        ("linear", [2.0, 2.0, 1.5, 1.0, 1.0]),
        ("cosine", [2.0, 2.0, 1.5, 1.0, 1.0]),
        ("step", [2.0, 2.0, 1.0, 1.0, 1.0]),
    ],
)
def test_a_ramp_holds_goes_and_holds(shape: str, weights: list[float]):
    ramp = Ramp(start=2.0, end=1.0, shape=shape, from_share=0.2, to_share=0.6)
    assert [weight_at(ramp, share) for share in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx(weights)
    assert peak_weight(ramp) == 2.0
    quarter = {"linear": 1.75, "cosine": 2 - (1 - 0.5**0.5) / 2, "step": 2.0}
    assert ramp.at(0.3) == pytest.approx(quarter[shape])


def test_a_loss_counts_when_its_weight_is_ever_above_nothing():
    losses = Distil(losses={"soft_targets": {"start": 0, "end": 1}, "hard_labels": 0, "hidden_states": 0}).losses
    assert list(losses.weights) == ["soft_targets"]
