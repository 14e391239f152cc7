"""What every training of a recipe has: epochs, batch size, learning rate."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from edgedistil.recipe.section import Section


class FineTune(Section):
    """How a model is trained: epochs, batch size, learning rate."""

    LATER: ClassVar[tuple[str, ...]] = ("accumulate", "patience", "dropout", "keep")

    epochs: float = Field(default=2.0, gt=0.0, le=1000.0)
    """Passes over the training rows; a fraction is allowed."""
    batch_size: int = Field(default=32, ge=1, le=4096)
    """Examples a step."""
    learning_rate: float = Field(default=5e-5, gt=0.0, lt=1.0)
    """Peak of a schedule that warms up linearly and then decays linearly to zero."""
    warmup_share: float = Field(default=0.06, ge=0.0, lt=1.0)
    """Share of the steps over which the learning rate rises."""
    weight_decay: float = Field(default=0.01, ge=0.0)
    """AdamW's decoupled weight decay, biases and LayerNorm left out."""
    evaluations_per_epoch: int = Field(default=2, ge=1, le=100)
    """How often the dev set is scored; the best checkpoint is kept."""
    keep: Literal["score", "loss", "last"] = "score"
    """Which checkpoint is kept: of the best dev score, of the least dev loss, which wavers less where dev rows are few,
    or the last one."""
    accumulate: int = Field(default=1, ge=1, le=4096)
    """Parts that a step's examples are run in, one after the other: less memory, the same model."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many evaluations in a row without a better checkpoint; left out, every epoch is run."""
    dropout: float | None = Field(default=None, ge=0.0, lt=1.0)
    """Share of hidden states and of attention that is dropped while training; left out, the model's own. 0 makes a step
    faster, most of all on long texts."""

    @model_validator(mode="after")
    def _waits_for_something(self) -> Self:
        if self.patience is not None and self.keep == "last":
            raise ValueError(
                "'patience' waits for a better checkpoint, and 'keep: last' has none: leave one of them out"
            )
        return self
