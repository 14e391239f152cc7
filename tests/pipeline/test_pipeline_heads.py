"""Which inputs have two texts, and so a separator from which token types are derived."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_recipe import changed
from tiny import write_teacher

from edgedistil.pipeline.heads import head_of
from edgedistil.recipe import parse_recipe
from edgedistil.tokeniser import read_tokeniser


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("heads"))


@pytest.mark.parametrize(
    ("task", "more", "two_texts"),
    [
        ("pair-classification", {}, True),
        ("pair-classification", {"text_pair": "other"}, True),
        ("regression", {"text_pair": "other"}, True),
        ("regression", {}, False),
        ("question-answering", {}, True),
        ("text-classification", {}, False),
        ("token-classification", {}, False),
    ],
)
def test_a_model_of_two_texts_tells_them_apart(teacher: Path, task: str, more: dict, two_texts: bool):
    recipe = parse_recipe(changed(task=task, data={"train": "a.tsv", **more}))
    separator = read_tokeniser(teacher).token_to_id("[SEP]")
    assert head_of(recipe, teacher).separator_token_id == (separator if two_texts else None)
