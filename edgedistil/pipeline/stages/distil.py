"""distil: the student, made from alternate teacher layers and trained to follow the teacher."""

from __future__ import annotations

from typing import Any

from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.data import data_stage
from edgedistil.pipeline.stages.targets import targets_stage
from edgedistil.pipeline.stages.teacher import teacher_stage

VERSION = 1


def distil_stage(build: Build) -> Stage:
    """Returns the stage that writes the student's `model/`."""
    recipe = build.recipe

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.distil.student import make_student
        from edgedistil.models.convert import load_model, save_model
        from edgedistil.pipeline.training import follow, load_splits, scores

        splits = load_splits(context.inputs["data"])
        student = make_student(load_model(context.inputs["teacher"] / "model"), recipe.student.layers)
        summary = follow(student, splits, recipe.distil, build, context, "distilling")
        summary |= scores(student, splits, context.progress)
        save_model(student, context.folder / "model")
        return summary

    return Stage(
        name="distil",
        version=VERSION,
        parameters={
            "student": recipe.student.model_dump(),
            "distil": recipe.distil.key(),
            "seed": recipe.seed,
        },
        inputs={"data": data_stage(build), "teacher": teacher_stage(build), "targets": targets_stage(build)},
        work=work,
        effort=Effort(build.training(recipe.student.layers, recipe.distil)),
    )
