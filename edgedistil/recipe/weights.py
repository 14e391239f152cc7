"""Weights of losses: numbers, or schedules over the steps of a training."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from edgedistil.recipe.section import FORM, Section


class Ramp(Section):
    """A weight that changes while the model trains."""

    start: float = Field(ge=0.0)
    """Weight until `from_share` of the steps."""
    end: float = Field(ge=0.0)
    """Weight from `to_share` of the steps on."""
    shape: Literal["linear", "cosine", "step"] = "linear"
    """How it goes from one to the other: `step` changes at once, half-way between the shares."""
    from_share: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of the steps after which the weight begins to change."""
    to_share: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of the steps at which it has changed."""

    @model_validator(mode="after")
    def _shares_rise(self) -> Ramp:
        if self.from_share >= self.to_share:
            raise ValueError("from_share must be below to_share")
        return self

    def at(self, share: float) -> float:
        """Returns the weight when this share of the steps is done."""
        way = min(1.0, max(0.0, (share - self.from_share) / (self.to_share - self.from_share)))
        if self.shape == "step":
            way = float(way >= 0.5)
        elif self.shape == "cosine":
            way = (1 - math.cos(math.pi * way)) / 2
        return self.start + (self.end - self.start) * way


# Told apart before they are checked, so that an error speaks of the one that was meant.
Weight = Annotated[
    Annotated[float, Field(ge=0.0), Tag(f"{FORM}number")] | Annotated[Ramp, Tag(f"{FORM}schedule")],
    Discriminator(lambda value: FORM + ("schedule" if isinstance(value, (dict, Ramp)) else "number")),
]


def peak_weight(weight: float | Ramp) -> float:
    """Returns the largest value that a weight takes."""
    return max(weight.start, weight.end) if isinstance(weight, Ramp) else weight


def weight_at(weight: float | Ramp, share: float) -> float:
    """Returns a weight when this share of the steps is done."""
    return weight.at(share) if isinstance(weight, Ramp) else weight


class Weights(Section):
    """Losses by name, each with its weight; at least one of them counts."""

    @property
    def weights(self) -> dict[str, float | Ramp]:
        """Returns the losses that count at some time, by name."""
        named = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: weight for name, weight in named.items() if peak_weight(weight) > 0}

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> Weights:
        if not self.weights:
            raise ValueError("every loss has weight 0: give at least one a weight above 0")
        return self
