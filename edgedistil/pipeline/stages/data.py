"""data: rows read, checked, split, tokenised."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgedistil.hashing import hash_file
from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build

VERSION = 1


def data_stage(build: Build) -> Stage:
    """Returns the stage that writes `train/`, `dev/`, `test/` (tokens) and `data.json`."""
    recipe = build.recipe

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.data.prepare import prepare_data
        from edgedistil.tasks import get_task

        prepared = prepare_data(
            build.source.read(),
            recipe.data,
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

    shown = {"train", "dev", "test", "licence"}
    return Stage(
        name="data",
        version=VERSION,
        # Paths are left out: the fingerprint tells the files' contents, wherever they lie.
        parameters={
            "data": recipe.data.model_dump(exclude=shown),
            "splits": [bool(recipe.data.dev), bool(recipe.data.test)],
            "max_length": recipe.max_length,
            "seed": recipe.seed,
        },
        inputs={},
        work=work,
        fingerprints={
            "examples": build.source.fingerprint(),
            "tokeniser": hash_file(build.teacher.folder / "tokenizer.json"),
        },
        effort=Effort(seconds=10.0),
    )
