"""data: rows read, checked, split, tokenised."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.recipe.schema import Recipe

VERSION = 1


def task_key(recipe: Recipe) -> dict[str, str]:
    """Returns the task as a part of a key; text classification, which was there first, is none."""
    return {} if recipe.task == "text-classification" else {"task": recipe.task}


def data_stage(build: Build) -> Stage:
    """Returns the stage that writes `train/`, `dev/`, `test/` (tokens) and `data.json`."""
    recipe = build.recipe

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.data.prepare import prepare_data
        from edgedistil.tasks import get_task

        prepared = prepare_data(
            build.source.read(),
            recipe.examples,
            build.teacher.folder,
            context.folder,
            task=get_task(recipe.task),
            max_length=recipe.max_length,
            seed=recipe.seed,
            progress=context.progress,
        )
        for warning in prepared.warnings:
            context.progress.say(f"  note: {warning}")
        return asdict(prepared)

    shown = {"train", "dev", "test", "train_labels", "dev_labels", "test_labels", "licence"}
    return Stage(
        name="data",
        version=VERSION,
        # Paths are left out: the fingerprint tells the files' contents, wherever they lie.
        parameters={
            "data": recipe.examples.key(shown),
            "splits": [bool(recipe.examples.dev), bool(recipe.examples.test)],
            "max_length": recipe.max_length,
            "seed": recipe.seed,
            **task_key(recipe),
        },
        inputs={},
        work=work,
        fingerprints={
            "examples": build.examples,
            "tokeniser": build.tokeniser,
        },
        effort=Effort(seconds=10.0),
    )
