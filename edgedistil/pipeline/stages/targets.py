"""targets: the teacher's outputs on every training row, computed once for distillation and recovery."""

from __future__ import annotations

from typing import Any

from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.data import data_stage
from edgedistil.pipeline.stages.teacher import teacher_stage
from edgedistil.pipeline.stages.text import unlabelled_stage

VERSION = 1


def _states(build: Build) -> tuple[int, ...]:
    """Returns the teacher's states that a loss of the recipe looks at."""
    from edgedistil.distil.following import teacher_states

    recipe = build.recipe
    recover = recipe.prune.recover if recipe.prune else None
    followers = [settings for settings in (recipe.distil, recover) if settings]
    found = (teacher_states(settings, build.teacher_layers, recipe.student.layers) for settings in followers)
    return tuple(sorted({state for states in found for state in states}))


def targets_stage(build: Build) -> Stage:
    """Returns the stage that writes logits and the mapped layers' hidden states."""
    states = _states(build)

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.distil.targets import compute_targets
        from edgedistil.models import load_model
        from edgedistil.pipeline.training import load_splits

        rows = load_splits(context.inputs["data"], recipe.task, context.inputs.get("unlabelled")).rows
        teacher = load_model(context.inputs["teacher"] / "model")
        outputs = recipe.distil.teacher_outputs
        compute_targets(teacher, rows, states, context.folder, context.progress, outputs=outputs)
        return {"states": list(states), "rows": len(rows)}

    recipe = build.recipe
    tokens = build.tokens() + build.unlabelled_tokens()
    in_loop = {"teacher_outputs": "loop"} if recipe.distil.teacher_outputs == "loop" else {}
    return Stage(
        name="targets",
        version=VERSION,
        parameters={"states": list(states), **in_loop},
        inputs={
            "data": data_stage(build),
            "teacher": teacher_stage(build),
            **({"unlabelled": unlabelled_stage(build)} if recipe.distil.unlabelled else {}),
        },
        work=work,
        passing=True,
        effort=Effort(
            operations=build.forward(build.teacher_layers, tokens),
            # Otherwise what would not fit is not kept, and the teacher runs in every step.
            disk=int(2 * tokens * build.hidden_size * len(states)) if recipe.distil.teacher_outputs == "cache" else 0,
        ),
    )
