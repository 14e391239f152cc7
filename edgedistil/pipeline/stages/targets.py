"""targets: the teacher's outputs on every training row, computed once for distillation and recovery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.data import data_stage
from edgedistil.pipeline.stages.teacher import teacher_stage
from edgedistil.pipeline.stages.text import unlabelled_inputs
from edgedistil.recipe.schema import Distil

VERSION = 1


def targets_stage(build: Build, settings: Distil) -> Stage:
    """Returns the stage that writes logits and the mapped layers' hidden states for a training.

    Trainings over the same rows share it. A recovery with text of its own has a stage of its own. A training's key is
    made of what that training looks at, and those before it: not of what is kept for a later one, nor of where.

    Args:
        build: The recipe.
        settings: The training's section.
    """
    sharing = _sharing(build, settings)
    shared = _stage(build, settings, sharing)
    looked_at = _states(build, sharing[: sharing.index(settings) + 1])
    return replace(shared, read_as=replace(shared, parameters={"states": list(looked_at)}).key)


def _stage(build: Build, settings: Distil, sharing: Sequence[Distil]) -> Stage:
    states, recipe = _states(build, sharing), build.recipe
    where = sharing[0].teacher_outputs

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.distil.targets import compute_targets
        from edgedistil.models import load_model
        from edgedistil.pipeline.training import load_splits

        rows = load_splits(context.inputs["data"], recipe.task, context.inputs.get("unlabelled")).rows
        teacher = load_model(context.inputs["teacher"] / "model")
        compute_targets(teacher, rows, states, context.folder, context.progress, outputs=where)
        return {"states": list(states), "rows": len(rows)}

    tokens = build.tokens() + build.unlabelled_tokens(settings)
    asked = {} if where == "auto" else {"teacher_outputs": where}
    return Stage(
        name="targets" if sharing[0] is recipe.distil else "targets-recover",
        version=VERSION,
        parameters={"states": list(states), **asked},
        inputs={"data": data_stage(build), "teacher": teacher_stage(build), **unlabelled_inputs(build, settings)},
        work=work,
        passing=True,
        effort=Effort(
            operations=build.forward(build.teacher_layers, tokens),
            # Otherwise what would not fit is not kept, and the teacher runs in every step.
            disk=int(2 * tokens * build.hidden_size * len(states)) if where == "cache" else 0,
        ),
    )


def _sharing(build: Build, settings: Distil) -> list[Distil]:
    """Returns the recipe's trainings over the same text, distillation before recovery."""
    recipe = build.recipe
    recover = recipe.prune.recover if recipe.prune else None
    followers = [found for found in (recipe.distil, recover) if found]
    return [found for found in followers if build.text_of(found) == build.text_of(settings)]


def _states(build: Build, sharing: Sequence[Distil]) -> tuple[int, ...]:
    """Returns the teacher's states that a loss of the trainings looks at."""
    from edgedistil.distil.following import teacher_states

    def looked_at(settings: Distil) -> tuple[int, ...]:
        section = "distil" if settings is build.recipe.distil else "prune.recover"
        return teacher_states(settings, build.teacher_layers, build.recipe.student.layers, section)

    return tuple(sorted({state for settings in sharing for state in looked_at(settings)}))
