"""Distillation losses. A new one is a file here, a line in `LOSSES` and a weight in the recipe.

The list is torch-free, so that a plan can tell what a recipe's losses need; a loss itself is imported when it is used:
the function of the same name in the file of the same name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from edgedistil.distil.following import Following, Pair
    from edgedistil.distil.losses.base import LossInputs

Unit = Literal["rows", "tokens", "labelled"]
"""What a loss is averaged over: rows, real tokens, or whatever has a label (rows; scored tokens; masked words)."""


def _nothing(_following: Following) -> tuple[Pair, ...]:
    return ()


@dataclass(frozen=True)
class Entry:
    """What is known of a loss before it is imported.

    Attributes:
        teacher: Whether it follows a teacher.
        states: Gives the pairs of hidden states that it compares.
        projections: Gives the pairs of layers whose queries, keys and values it compares.
        unit: What it is averaged over; None for the kind of the rows to say (`targets_unit`).
    """

    teacher: bool = True
    states: Callable[[Following], tuple[Pair, ...]] = _nothing
    projections: Callable[[Following], tuple[Pair, ...]] = _nothing
    unit: Unit | None = "tokens"


def _mapped(following: Following) -> tuple[Pair, ...]:
    return following.pairs


def _mapped_attention(following: Following) -> tuple[Pair, ...]:
    return tuple(pair for pair in following.pairs if min(pair) > 0)


def _relation(following: Following) -> tuple[Pair, ...]:
    return (following.relation,)


def _cosine(following: Following) -> tuple[Pair, ...]:
    return following.pairs if following.cosine_on == "layers" else (following.last,)


LOSSES: dict[str, Entry] = {
    "attention_maps": Entry(projections=_mapped_attention),
    "cosine": Entry(states=_cosine),
    "hard_labels": Entry(teacher=False, unit="labelled"),
    "hidden_states": Entry(states=_mapped),
    "masked_language": Entry(teacher=False, unit="labelled"),
    "relations": Entry(projections=_relation),
    "soft_targets": Entry(unit=None),
}

_TARGET_UNITS: dict[str, Unit] = {
    "class": "rows",
    "value": "rows",
    "span": "rows",
    "tags": "tokens",
    "masked": "labelled",
}


def unit_of(name: str, kind: str) -> Unit:
    """Returns what a loss is averaged over on rows of a kind."""
    return LOSSES[name].unit or _TARGET_UNITS[kind]


def loss_function(name: str) -> Callable[[LossInputs], Tensor]:
    """Returns a loss: the sum over its unit, to be divided by how many there are.

    Raises:
        KeyError: When there is no such loss.
    """
    LOSSES[name]
    function: Callable[[LossInputs], Tensor] = getattr(importlib.import_module(f"{__name__}.{name}"), name)
    return function


__all__ = ["LOSSES", "Entry", "Unit", "loss_function", "unit_of"]
