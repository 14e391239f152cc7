"""distil: the student, made from alternate teacher layers and trained to follow the teacher."""

from __future__ import annotations

from typing import Any

from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build, start_fingerprint
from edgedistil.pipeline.stages.data import data_stage
from edgedistil.pipeline.stages.general import general_stage
from edgedistil.pipeline.stages.targets import targets_stage
from edgedistil.pipeline.stages.teacher import teacher_stage
from edgedistil.pipeline.stages.text import unlabelled_inputs
from edgedistil.recipe.schema import Distil

VERSION = 1

# The text itself is an input; where the teacher's outputs come from changes no result beyond rounding.
_NOT_TRAINED_ON = frozenset(
    {"unlabelled", "unlabelled_column", "unlabelled_pair", "unlabelled_limit", "teacher_outputs"}
)

# Those after the first now compute in bf16, where the first did.
_STAGES_VERSION = 2

# STS-B, two epochs: Pearson 0.14 so, 0.86 from the teacher's own layers; with relations 0.86 so.
_OTHER_HEADS = (
    "attention_maps compares head with head, and the student starts as another model, whose heads may stand for other "
    "things than the teacher's; relations needs no such heads"
)


def training_key(settings: Distil) -> dict[str, Any]:
    """Returns what the key of a training that follows the teacher says of its section."""
    several = settings.stages is not None and len(settings.stages) > 1
    return {**settings.key(_NOT_TRAINED_ON), **({"stages_version": _STAGES_VERSION} if several else {})}


def distil_stage(build: Build) -> Stage:
    """Returns the stage that writes the student's `model/`."""
    recipe = build.recipe

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.models import load_model, save_model
        from edgedistil.pipeline.starting import first_student
        from edgedistil.pipeline.training import follow, load_splits, scores

        if recipe.student.start and "attention_maps" in recipe.distil.all_losses:
            context.progress.say(f"  note: {_OTHER_HEADS}")
        splits = load_splits(context.inputs["data"], recipe.task, context.inputs.get("unlabelled"))
        student = first_student(build, load_model(context.inputs["teacher"] / "model"))
        if "general" in context.inputs:
            student.encoder.load_state_dict(load_model(context.inputs["general"] / "model").encoder.state_dict())
        summary = follow(student, splits, recipe.distil, build, context, "distil")
        summary |= scores(student, splits, context.progress)
        save_model(student, context.folder / "model")
        return summary

    return Stage(
        name="distil",
        version=VERSION,
        parameters={
            "student": recipe.student.key({"start"}),
            "distil": training_key(recipe.distil),
            "seed": recipe.seed,
        },
        inputs={
            "data": data_stage(build),
            "teacher": teacher_stage(build),
            "targets": targets_stage(build, recipe.distil),
            **unlabelled_inputs(build, recipe.distil),
            **({"general": general_stage(build)} if recipe.general else {}),
        },
        work=work,
        together=True,
        fingerprints=start_fingerprint(build),
        effort=Effort(build.training(recipe.student.layers, recipe.distil, following=True)),
    )
