"""teacher: fine-tuned on the task, or loaded as it is; scored either way."""

from __future__ import annotations

from typing import Any

from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.data import data_stage, task_key
from edgedistil.recipe.schema import FineTune
from edgedistil.tasks import get_task, pair_column

VERSION = 1


def teacher_stage(build: Build) -> Stage:
    """Returns the stage that writes the teacher's `model/` and scores."""
    recipe = build.recipe
    settings = recipe.teacher.fine_tune

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.distil.teacher import open_teacher
        from edgedistil.models.convert import save_model
        from edgedistil.pipeline.heads import head_of
        from edgedistil.pipeline.training import fine_tune, load_splits, scores

        splits = load_splits(context.inputs["data"], recipe.task)
        model = open_teacher(
            build.teacher.folder,
            splits.labels,
            fine_tuned=settings is None,
            seed=recipe.seed,
            **head_of(recipe, build.teacher.folder).arguments(),
        )
        summary: dict[str, Any] = {}
        if settings is not None:
            summary = fine_tune(model, splits, settings, recipe.seed, context)
        summary |= scores(model, splits, context.progress)
        save_model(model, context.folder / "model")
        return summary

    by_default = pair_column(get_task(recipe.task), recipe.examples) and not recipe.examples.text_pair
    joined = {"joined_layers": recipe.joined_layers} if recipe.joined_layers > 1 else {}
    return Stage(
        name="teacher",
        version=VERSION,
        parameters={
            "fine_tune": settings.key() if settings else None,
            "seed": recipe.seed,
            **task_key(recipe),
            **joined,
            # Such pairs were once learnt without token types.
            **({"token_types": True} if by_default else {}),
        },
        inputs={"data": data_stage(build)},
        work=work,
        together=settings is not None,
        fingerprints={"checkpoint": build.teacher.fingerprint},
        effort=_effort(build, settings),
    )


def _effort(build: Build, settings: FineTune | None) -> Effort:
    layers = build.teacher_layers
    if settings is None:
        return Effort(build.forward(layers, build.tokens("dev") + build.tokens("test")))
    return Effort(build.training(layers, settings))
