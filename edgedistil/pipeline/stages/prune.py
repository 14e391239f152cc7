"""prune: blocks scored, chosen under the budget and removed. recover: the rest distilled once more."""

from __future__ import annotations

import json
from typing import Any

from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.data import data_stage
from edgedistil.pipeline.stages.distil import distil_stage
from edgedistil.pipeline.stages.targets import targets_stage
from edgedistil.recipe.schema import Prune

VERSION = 1


def prune_stage(build: Build, prune: Prune) -> Stage:
    """Returns the stage that writes the shrunk `model/` and `pruning.json`."""
    recipe = build.recipe

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.models.convert import load_model, save_model
        from edgedistil.pipeline.pruning import prune_student
        from edgedistil.pipeline.training import load_splits, scores

        splits = load_splits(context.inputs["data"])
        student = load_model(context.inputs["distil"] / "model")
        pruned, record = prune_student(student, splits.sets["train"], prune, recipe, context.progress)
        (context.folder / "pruning.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        save_model(pruned, context.folder / "model")
        summary = {name: record[name] for name in ("heads", "ffn", "kept_parameters", "kept_macs", "search_seconds")}
        return summary | scores(pruned, splits, context.progress)

    sequence_length = {"sequence_length": recipe.bench.sequence_length} if prune.macs is not None else {}
    return Stage(
        name="prune",
        version=VERSION,
        parameters={"prune": prune.model_dump(exclude={"recover"}), "seed": recipe.seed, **sequence_length},
        inputs={"data": data_stage(build), "distil": distil_stage(build)},
        work=work,
        effort=Effort(
            operations=2 * build.forward(recipe.student.layers, 28.0 * prune.calibration_examples), seconds=5.0
        ),
    )


def recover_stage(build: Build, prune: Prune) -> Stage:
    """Returns the stage that distils the shrunk student once more and writes its `model/`."""
    recipe = build.recipe
    settings = prune.recover
    assert settings is not None  # noqa: S101 - the caller has looked

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.models.convert import load_model, save_model
        from edgedistil.pipeline.training import follow, load_splits, scores

        splits = load_splits(context.inputs["data"])
        student = load_model(context.inputs["prune"] / "model")
        summary = follow(student, splits, settings, build, context, "recovering")
        summary |= scores(student, splits, context.progress)
        save_model(student, context.folder / "model")
        return summary

    share = prune.budget[1]
    return Stage(
        name="recover",
        version=VERSION,
        parameters={"recover": settings.key(), "seed": recipe.seed},
        inputs={
            "data": data_stage(build),
            "targets": targets_stage(build),
            "prune": prune_stage(build, prune),
        },
        work=work,
        effort=Effort(share * build.training(recipe.student.layers, settings)),
    )


def final_model_stage(build: Build) -> Stage:
    """Returns the stage whose `model/` is shipped: the recovered, the pruned or the plain student."""
    prune = build.recipe.prune
    if prune is None:
        return distil_stage(build)
    return recover_stage(build, prune) if prune.recover else prune_stage(build, prune)
