from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, ValidationError

from edgedistil.recipe import json_schema, parse_recipe
from edgedistil.recipe import schema as schema_module
from edgedistil.recipe.schema import Recipe, Section

SECTIONS = [
    value
    for value in vars(schema_module).values()
    if isinstance(value, type) and issubclass(value, Section) and value is not Section
]


def test_the_schema_is_json():
    assert json.loads(json.dumps(json_schema())) == json_schema()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_the_schema_covers_every_key_and_says_what_it_is(section: type[BaseModel]):
    whole = json_schema()
    part = whole if section is Recipe else whole["$defs"][section.__name__]
    assert set(part["properties"]) == set(section.model_fields)
    assert part["additionalProperties"] is False
    own = vars(section)["__annotations__"]
    undescribed = [
        name
        for name in own
        if "description" not in part["properties"][name] and "$ref" not in json.dumps(part["properties"][name])
    ]
    assert set(undescribed) <= {"epochs", "learning_rate"}, "only what Distil inherits may go without words"


def test_a_recipe_does_not_change():
    recipe = parse_recipe("name: a\ndata: {train: a.tsv}\nteacher: {model: t}")
    with pytest.raises(ValidationError, match="frozen"):
        recipe.seed = 3


def test_a_recipe_survives_its_own_json():
    recipe = parse_recipe("name: a\ndata: {train: a.tsv}\nteacher: {model: t}\nprune: {macs: 0.25}")
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
