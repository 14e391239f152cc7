"""How long stages are said to take, before they have run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import write_workspace

from edgedistil.errors import EdgeDistilError
from edgedistil.pipeline.cache import StageCache
from edgedistil.pipeline.estimate import Speeds, human_time, matrix_speed
from edgedistil.pipeline.plan import Plan, plan_recipe
from edgedistil.pipeline.stage import Effort, Stage
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.data import data_stage
from edgedistil.pipeline.stages.text import unlabelled_inputs
from edgedistil.progress import SilentProgress
from edgedistil.recipe.load import Workspace, load_recipe


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_workspace(tmp_path_factory.mktemp("estimates"))


def test_estimates_learn_from_what_was_run(tmp_path: Path):
    stage = Stage("it", 1, {}, {}, lambda context: {}, effort=Effort(operations=1e12, seconds=1.0))
    assert Speeds(tmp_path).seconds(stage) > 1.0
    with pytest.raises(EdgeDistilError, match=r"speeds\.json: cannot write it"):
        Speeds(Path("/proc/nowhere")).learn(stage, 11.0)
    Speeds(tmp_path).learn(stage, 11.0)
    assert Speeds(tmp_path).seconds(stage) == pytest.approx(11.0)
    assert StageCache(tmp_path).find(stage) is None


def test_more_text_is_in_the_estimates_of_what_follows_the_teacher(recipe: Path):
    def efforts(*more: str) -> dict[str, Effort]:
        plan = plan_recipe(load_recipe(recipe, more), Workspace.of_recipe(recipe))
        return {stage.name: stage.effort for stage in plan.stages}

    (recipe.parent / "more.txt").write_text("a fine film\n" * 100_000, encoding="utf-8")
    text = f"distil.unlabelled={recipe.parent / 'more.txt'}"
    before, after, few = efforts(), efforts(text), efforts(text, "distil.unlabelled_limit=10")
    for name in ("distil", "recover", "targets"):
        assert after[name].operations > 2 * before[name].operations
        assert before[name].operations < few[name].operations < after[name].operations
    kept = "distil.teacher_outputs=cache"
    assert efforts(text, kept)["targets"].disk > 2 * efforts(kept)["targets"].disk
    assert after["targets"].disk == 0
    assert after["teacher"] == before["teacher"]


def test_more_text_that_has_been_read_is_counted(recipe: Path):
    def build() -> tuple[Build, Stage]:
        asked = load_recipe(recipe, [f"distil.unlabelled={recipe.parent / 'more.txt'}"])
        made = plan_recipe(asked, Workspace.of_recipe(recipe)).build
        return made, unlabelled_inputs(made, made.recipe.distil)["unlabelled"]

    (recipe.parent / "more.txt").write_text("a fine film\n" * 1000, encoding="utf-8")
    made, stage = build()
    assert made.unlabelled_tokens(made.recipe.distil) == pytest.approx(12 * 1000 / 4.5)
    made.cache.run(stage.inputs["data"], SilentProgress())
    made.cache.run(stage, SilentProgress())
    assert made.unlabelled_tokens(made.recipe.distil) == 5 * 1000


def test_matrix_speed_is_a_processors():
    assert 1e8 < matrix_speed() < 1e15


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "< 1 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (3905, "1 h 5 min")]
)
def test_times_read_as_a_person_says_them(seconds: float, words: str):
    assert human_time(seconds) == words


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
