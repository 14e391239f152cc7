"""A recipe's `general`: distillation over plain text."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgedistil.recipe.distilling import LayerMap
from edgedistil.recipe.training import FineTune
from edgedistil.recipe.weights import Weight, Weights


class GeneralLosses(Weights):
    """Weight of each loss of a distillation over plain text; DistilBERT's three by default (section 3)."""

    soft_targets: Weight = 5.0
    """Divergence to the teacher's distribution over the words at masked positions, times T squared."""
    masked_language: Weight = 2.0
    """Cross-entropy with the word that was masked."""
    cosine: Weight = 1.0
    """One minus the cosine between last hidden states."""
    hidden_states: Weight = 0.0
    """Mean squared error between mapped layers' hidden states; stands in where the teacher predicts no words."""
    relations: Weight = 0.0
    """MiniLMv2's self-relations; stands in where the teacher predicts no words."""


class General(FineTune):
    """Distillation over plain text, for want of task data or before it."""

    epochs: float = Field(default=3.0, gt=0.0, le=1000.0)
    learning_rate: float = Field(default=5e-4, gt=0.0, lt=1.0)
    temperature: float = Field(default=2.0, gt=0.0, le=100.0)
    """Temperature T that softens both distributions."""
    losses: GeneralLosses = GeneralLosses()
    layer_map: LayerMap = "alternate"
    """As `distil.layer_map`."""
    masking: Literal["whole-word", "token"] = "whole-word"
    """What is masked together: all pieces of a word, or each piece by itself."""
    mask_share: float = Field(default=0.15, gt=0.0, lt=1.0)
    """Share of the tokens to be predicted: of these 80 % are masked, 10 % are another word, 10 % stay."""


class GeneralText(General):
    """A general distillation and its text."""

    text: str
    """File of plain text: .txt (a text a line), .jsonl(.gz), .tsv, .csv or .parquet."""
    column: str = "text"
    """Key or column of that file which holds the text."""
    limit: int | None = Field(default=None, gt=0)
    """Use only the first so many of its texts."""
    max_length: int = Field(default=128, ge=8, le=512)
    """Tokens a row; a longer text becomes several rows."""
    dev_rows: int = Field(default=256, ge=8)
    """Rows set aside, by whose loss the best checkpoint is chosen."""
