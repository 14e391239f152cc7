"""targets: the teacher's outputs on every training row, computed once for distillation and recovery."""

from __future__ import annotations

from typing import Any

from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.data import data_stage
from edgedistil.pipeline.stages.teacher import teacher_stage

VERSION = 1


def _states(build: Build) -> tuple[int, ...]:
    """Returns the teacher's states that a loss of the recipe looks at."""
    from edgedistil.layers import mapped_states

    recipe = build.recipe
    recover = recipe.prune.recover if recipe.prune else None
    wanted = [settings.losses.hidden_states for settings in (recipe.distil, recover) if settings]
    return mapped_states(build.teacher_layers, recipe.student.layers)[1] if any(wanted) else ()


def targets_stage(build: Build) -> Stage:
    """Returns the stage that writes logits and the mapped layers' hidden states."""
    states = _states(build)

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.data.tokens import open_tokens
        from edgedistil.distil.targets import compute_targets
        from edgedistil.models.convert import load_model

        tokens = open_tokens(context.inputs["data"] / "train")
        teacher = load_model(context.inputs["teacher"] / "model")
        compute_targets(teacher, tokens, states, context.folder, context.progress)
        return {"states": list(states), "rows": len(tokens)}

    tokens = build.tokens()
    return Stage(
        name="targets",
        version=VERSION,
        parameters={"states": list(states)},
        inputs={"data": data_stage(build), "teacher": teacher_stage(build)},
        work=work,
        effort=Effort(
            operations=build.forward(build.teacher_layers, tokens),
            disk=int(2 * tokens * build.hidden_size * len(states)),
        ),
    )
