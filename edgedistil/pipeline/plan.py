"""A plan: the stages that a recipe needs, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass

from edgedistil.errors import UsageError
from edgedistil.pipeline.budget import check_budget
from edgedistil.pipeline.cache import StageCache, cache_root
from edgedistil.pipeline.fitting import check_recovery, check_student
from edgedistil.pipeline.folders import fault_of
from edgedistil.pipeline.stage import Stage
from edgedistil.pipeline.stages.bench import bench_stage
from edgedistil.pipeline.stages.bundle import bundle_stage, reference_stage
from edgedistil.pipeline.stages.context import Build, layers_of
from edgedistil.pipeline.stages.distil import distil_stage
from edgedistil.pipeline.stages.general import general_stage
from edgedistil.pipeline.stages.latency_table import NAME as LATENCY_TABLE
from edgedistil.pipeline.stages.prune import final_model_stage
from edgedistil.pipeline.stages.teacher import teacher_stage
from edgedistil.pipeline.stages.vocabulary import NAME as VOCABULARY
from edgedistil.recipe.load import Workspace
from edgedistil.recipe.schema import Recipe

_FIRST = (LATENCY_TABLE, "data", "unlabelled", "unlabelled-recover", VOCABULARY)


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes:
        build: The recipe in its workspace.
        stages: Every stage, each after those it needs.
        goal: The last one.
    """

    build: Build
    stages: list[Stage]
    goal: Stage

    def needs(self, stage: Stage) -> bool:
        """Tells whether a stage is to be there: one that only passes something on is, until all that read it are."""
        if not stage.passing or stage is self.goal:
            return True
        readers = [other for other in self.stages if stage.key in {before.key for before in other.inputs.values()}]
        return any(self.build.cache.find(reader) is None for reader in readers)


def plan_recipe(recipe: Recipe, workspace: Workspace, *, until: str | None = None) -> Plan:
    """Returns the plan of a recipe.

    Args:
        recipe: The checked recipe.
        workspace: Where its paths start.
        until: Stop after this verb (`teacher`, `general`, `distil`, `prune`, `export`); by default everything.

    Raises:
        UsageError: When an input is missing, the recipe does not fit its teacher, or its budget cannot be met.
    """
    build = Build(recipe, workspace, StageCache(cache_root(workspace.root)))
    if recipe.student.layers > build.teacher_layers:
        raise UsageError(
            f"student.layers is {recipe.student.layers}, the teacher has {build.teacher_layers} layers",
            where=recipe.name,
            cure=f"choose 1 to {build.teacher_layers}",
        )
    if build.start and recipe.student.layers > layers_of(build.start_config):
        raise UsageError(
            f"student.layers is {recipe.student.layers}, and student.start has {layers_of(build.start_config)}",
            where=recipe.name,
            cure=f"choose 1 to {layers_of(build.start_config)}",
        )
    check_student(build)
    if until in (None, "general", "export"):
        _check_place(build)
    _check_lengths(build, exports=until in (None, "export"))
    if until == "prune" and recipe.prune is None:
        raise UsageError("the recipe has no section 'prune'", where=recipe.name, cure="add: prune: {parameters: 0.5}")
    if until == "general" and recipe.general is None:
        raise UsageError("the recipe has no section 'general'", where=recipe.name, cure="add: general: {text: FILE}")
    if recipe.data is None and until in (None, "general"):
        goal = general_stage(build)
        return Plan(build, in_order(goal), goal)
    goals = {
        "general": general_stage,
        "teacher": teacher_stage,
        "distil": distil_stage,
        "prune": final_model_stage,
        "export": bundle_stage,
        None: bench_stage,
    }
    goal = goals[until](build)
    if until in (None, "prune", "export"):
        check_recovery(build)
        check_budget(build)
    # What decides whether a budget can be met is known before anything is trained for it.
    stages = sorted(in_order(goal), key=lambda stage: _FIRST.index(stage.name) if stage.name in _FIRST else len(_FIRST))
    return Plan(build, stages, goal)


def _check_place(build: Build) -> None:
    """Refuses a folder for the results that cannot be one."""
    place = build.workspace.run_folder(build.recipe.name)
    fault = fault_of(place)
    if fault:
        raise UsageError(
            f"the run's folder {fault}", where=str(place), cure="make room for it there, or choose another 'name'"
        )


def _check_lengths(build: Build, *, exports: bool) -> None:
    """Refuses texts that are longer than what teacher or student has positions for.

    A bench's length is cut to the recipe's longest text, and so is none to be refused.
    """
    recipe = build.recipe
    asked = {"general.max_length": recipe.general.max_length} if recipe.general else {}
    if recipe.data is not None:
        asked["max_length"] = recipe.max_length
        if exports and any(name.startswith("tflite") for name in recipe.export.formats):
            asked["export.sequence_lengths"] = max(recipe.export.sequence_lengths)
    for title, config in (("the teacher", build.teacher_config), ("student.start", build.start_config)):
        longest = config.get("max_position_embeddings")
        for where, length in asked.items():
            if longest is not None and length > longest:
                raise UsageError(
                    f"{length} tokens are more than the {longest} that {title} takes",
                    where=where,
                    cure=f"choose at most {longest}",
                )


def in_order(goal: Stage) -> list[Stage]:
    """Returns a stage and all it needs, each once, inputs first."""
    ordered: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        for before in stage.inputs.values():
            visit(before)
        ordered.setdefault(stage.key, stage)

    visit(goal)
    return list(ordered.values())


__all__ = ["Plan", "in_order", "plan_recipe", "reference_stage"]
