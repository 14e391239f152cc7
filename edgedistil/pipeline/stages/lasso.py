"""lasso: the student trained under reweighted group lasso, for the score that looks at what it left."""

from __future__ import annotations

from typing import Any

from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.data import data_stage
from edgedistil.pipeline.stages.distil import distil_stage
from edgedistil.recipe.schema import GroupLassoTraining, Prune

VERSION = 1


def lasso_stage(build: Build, prune: Prune) -> Stage:
    """Returns the stage that writes the trained student's `model/`."""
    recipe = build.recipe
    settings = prune.lasso or GroupLassoTraining()

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.models import load_model, save_model
        from edgedistil.pipeline.lasso import train_under_lasso
        from edgedistil.pipeline.training import load_splits, scores

        splits = load_splits(context.inputs["data"], recipe.task)
        student = load_model(context.inputs["distil"] / "model")
        summary = train_under_lasso(student, splits, settings, prune.block, recipe.seed, context)
        summary |= scores(student, splits, context.progress)
        save_model(student, context.folder / "model")
        return summary

    return Stage(
        name="lasso",
        version=VERSION,
        parameters={"lasso": settings.key(), "block": prune.block, "seed": recipe.seed},
        inputs={"data": data_stage(build), "distil": distil_stage(build)},
        work=work,
        together=True,
        effort=Effort(build.training(recipe.student.layers, settings)),
    )
