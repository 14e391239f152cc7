"""What a student is before its training, where it starts as another checkpoint than its teacher."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tiny import write_teacher, write_workspace
from tiny_tasks import write_task_workspace

from edgedistil.distil.teacher import open_teacher
from edgedistil.errors import UsageError
from edgedistil.pipeline.cache import StageCache
from edgedistil.pipeline.run import plan_recipe, run_plan
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.starting import first_student
from edgedistil.progress import SilentProgress
from edgedistil.recipe.load import Workspace, load_recipe


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_workspace(tmp_path_factory.mktemp("starting"))


def build_of(recipe: Path, *overrides: str) -> Build:
    return Build(load_recipe(recipe, overrides), Workspace.of_recipe(recipe), StageCache(recipe.parent / "cache"))


def student_of(recipe: Path, start: Path, *overrides: str):
    build = build_of(recipe, f"student.start.model={start}", *overrides)
    teacher = open_teacher(build.teacher.folder, ["negative", "positive"], fine_tuned=False, seed=1)
    return teacher, first_student(build, teacher)


def test_its_layers_are_the_starts_and_its_head_the_teachers(recipe: Path, tmp_path: Path):
    start = write_teacher(tmp_path / "start", layers=3)
    source = open_teacher(start, ["negative", "positive"], fine_tuned=False, seed=1)
    teacher, student = student_of(recipe, start, "student.layers=2")
    for made, wanted in zip(student.encoder.layers, (source.encoder.layers[0], source.encoder.layers[2]), strict=True):
        assert torch.equal(made.ffn.up.weight, wanted.ffn.up.weight)
    assert torch.equal(student.classifier.weight, teacher.classifier.weight)


def test_a_start_of_another_width_gives_its_own(recipe: Path, tmp_path: Path):
    start = write_teacher(tmp_path / "start", layers=2, hidden=32)
    _, student = student_of(recipe, start)
    assert student.config.hidden_size == 32


def test_a_head_that_the_start_has_not_got_is_drawn_by_the_recipes_seed(recipe: Path, tmp_path: Path):
    start = write_teacher(tmp_path / "start", layers=1, hidden=32)

    def head(state: int, *overrides: str) -> torch.Tensor:
        build = build_of(recipe, f"student.start.model={start}", *overrides)
        teacher = open_teacher(build.teacher.folder, ["negative", "positive"], fine_tuned=False, seed=1)
        torch.manual_seed(state)
        return first_student(build, teacher).classifier.weight

    assert torch.equal(head(1), head(2))
    assert not torch.equal(head(1), head(1, "seed=7"))


@pytest.mark.parametrize("started", [True, False])
def test_a_head_that_joins_layers_is_the_tasks_alone(tmp_path: Path, started: bool):
    recipe, start = write_task_workspace(tmp_path / "work", "token-classification"), write_teacher(tmp_path / "start")
    named = [f"student.start.model={start}"] if started else []
    build = build_of(recipe, "joined_layers=2", "student.layers=2", *named)
    options = {"fine_tuned": False, "seed": 1}
    teacher = open_teacher(build.teacher.folder, ["O", "B-blame"], head="token", joined_layers=2, **options)
    student = first_student(build, teacher)
    assert student.config.joined_layers == 2
    assert torch.equal(student.classifier.weight, teacher.classifier.weight)
    words = open_teacher(build.teacher.folder, None, head="masked-lm", **options)
    assert first_student(build, words).config.joined_layers == 1


def test_a_start_for_shorter_texts_is_refused(recipe: Path, tmp_path: Path):
    start = write_teacher(tmp_path / "start")
    asked = [f"student.start.model={start}", "teacher.model=longer", "max_length=128", "export.sequence_lengths=[128]"]
    teacher = write_teacher(recipe.parent.parent / "longer") / "config.json"
    teacher.write_text(json.dumps(json.loads(teacher.read_text()) | {"max_position_embeddings": 512}))
    with pytest.raises(UsageError, match=r"max_length: 128 tokens are more than the 64 that student\.start takes"):
        plan_recipe(load_recipe(recipe, asked), Workspace.of_recipe(recipe))


class Heard(SilentProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_outputs_that_do_not_fit_are_not_refused_but_computed_in_every_step(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    free = shutil.disk_usage(recipe)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    keys = ["teacher.fine_tune.epochs=0.2", "distil.epochs=0.2", "seed=7"]
    heard = Heard()
    run_plan(plan_recipe(load_recipe(recipe, keys), Workspace.of_recipe(recipe), until="distil"), heard)
    assert any(line.startswith("the teacher runs in every step: its outputs would take") for line in heard.lines)


@pytest.mark.parametrize(("loss", "said"), [("attention_maps", True), ("relations", False)])
def test_heads_of_another_model_are_pointed_out_where_they_are_compared(
    recipe: Path, tmp_path: Path, loss: str, said: bool
):
    start = write_teacher(tmp_path / "start")
    keys = [f"student.start.model={start}", "teacher.fine_tune.epochs=0.2", f"distil.losses={{{loss}: 1}}"]
    plan = plan_recipe(load_recipe(recipe, [*keys, "distil.epochs=0.2"]), Workspace.of_recipe(recipe), until="distil")
    heard = Heard()
    run_plan(plan, heard)
    assert any("relations needs no such heads" in line for line in heard.lines) is said
