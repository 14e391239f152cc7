"""How long stages are said to take, before they have run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import write_workspace

from edgedistil.pipeline.plan import Plan, plan_recipe
from edgedistil.pipeline.stages.data import data_stage
from edgedistil.progress import SilentProgress
from edgedistil.recipe.load import Workspace, load_recipe


def test_the_length_of_texts_is_in_the_estimate_of_pruning_once_it_is_known(tmp_path: Path):
    recipe = write_workspace(tmp_path)

    def plan() -> Plan:
        return plan_recipe(load_recipe(recipe), Workspace.of_recipe(recipe))

    def pruning(made: Plan) -> float:
        return next(stage.effort.operations for stage in made.stages if stage.name == "prune")

    guessed = plan()
    usual, operations = guessed.build.tokens_a_text, pruning(guessed)
    guessed.build.cache.run(data_stage(guessed.build), SilentProgress())
    counted = plan()
    assert counted.build.tokens_a_text < usual
    assert pruning(counted) / counted.build.tokens_a_text == pytest.approx(operations / usual)
