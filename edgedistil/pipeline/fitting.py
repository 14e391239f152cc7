"""Whether a recipe's student fits its teacher and its losses fit both, asked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgedistil.distil.following import pair_layers
from edgedistil.distil.sizes import check_relation_heads, check_sizes
from edgedistil.errors import UsageError
from edgedistil.pipeline.latency_tables import student_shape
from edgedistil.pipeline.stages.context import Build


def check_student(build: Build) -> None:
    """Refuses a student that cannot be made, or that cannot follow its teacher as the recipe says.

    Raises:
        UsageError: When it is so.
    """
    recipe, student = build.recipe, build.recipe.student
    shape = student_shape(recipe, build.start_config)
    if student.hidden_size or student.heads:
        check_sizes(student.init, shape.hidden_size, shape.heads, _width(build.start_config))
    if recipe.general:
        pair_layers(recipe.general.layer_map, build.teacher_layers, student.layers, "general")
    theirs, losses = _heads(build.teacher_config), recipe.distil.all_losses
    if recipe.data is None or theirs is None or _heads(build.start_config) is None:
        return
    if "attention_maps" in losses and shape.heads != theirs:
        raise UsageError(
            f"attention_maps needs equal heads: the student has {shape.heads}, the teacher {theirs}",
            where=recipe.name,
            cure="use distil.losses.relations in its place, which needs none",
        )
    if "relations" in losses and recipe.distil.relation_heads:
        own = shape.heads * shape.head_size
        check_relation_heads("distil", recipe.distil.relation_heads, own, build.hidden_size)


def check_recovery(build: Build) -> None:
    """Refuses losses by which a student cannot follow its teacher once it is pruned.

    Raises:
        UsageError: When there are such.
    """
    prune = build.recipe.prune
    if prune is None or prune.recover is None or not prune.has_budget:
        return
    recover, (kind, amount) = prune.recover, prune.budget
    if "attention_maps" in recover.all_losses and (kind in ("latency_ms", "size_mb") or amount != 1):
        raise UsageError(
            "attention_maps needs as many heads as the teacher has, and pruning removes some",
            where="prune.recover",
            cure="use prune.recover.losses.relations in its place, which needs none",
        )
    if "relations" in recover.all_losses and recover.relation_heads and _heads(build.teacher_config):
        check_relation_heads("prune.recover", recover.relation_heads, build.hidden_size)


def _width(config: Mapping[str, Any]) -> int:
    return int(config.get("hidden_size") or config["dim"])


def _heads(config: Mapping[str, Any]) -> int | None:
    """Returns the heads of every layer of a checkpoint; None where some were removed."""
    if "head_size" not in config:
        return int(config.get("num_attention_heads") or config["n_heads"])
    whole = _width(config) // int(config["head_size"])
    return whole if set(config["heads"]) == {whole} else None
