"""A recipe's `distil`: the losses, layers and stages by which a student learns a task from its teacher."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from edgedistil.recipe.section import FORM, Section
from edgedistil.recipe.training import FineTune
from edgedistil.recipe.weights import Weight, Weights

LayerMap = Annotated[
    Annotated[Literal["alternate", "skip", "last"], Tag(f"{FORM}name")]
    | Annotated[list[tuple[int, int]], Tag(f"{FORM}pairs")],
    Discriminator(lambda value: FORM + ("name" if isinstance(value, str) else "pairs")),
]


class Losses(Weights):
    """Weight of each distillation loss: a number (0 turns it off), or `{start, end, shape, from_share, to_share}`."""

    LATER: ClassVar[tuple[str, ...]] = ("attention_maps", "relations", "cosine")

    soft_targets: Weight = 1.0
    """Kullback-Leibler divergence to the teacher's softened distribution, times T squared; a score's squared error."""
    hard_labels: Weight = 0.5
    """Cross-entropy with the true label; a score's squared error. A row without a label has none."""
    hidden_states: Weight = 1.0
    """Mean squared error between mapped layers' hidden states, on real tokens only."""
    attention_maps: Weight = 0.0
    """Mapped layers' attention scores, as TinyBERT; needs as many heads in the student as in the teacher."""
    relations: Weight = 0.0
    """MiniLMv2's query, key and value self-relations of one layer; needs no equal width or heads."""
    cosine: Weight = 0.0
    """One minus the cosine between last hidden states, as DistilBERT."""


class StageLosses(Losses):
    """Weight of each loss in one of `distil.stages`: what is not named is off."""

    soft_targets: Weight = 0.0
    hard_labels: Weight = 0.0
    hidden_states: Weight = 0.0


class DistilStage(Section):
    """One of several trainings that follow one another, such as TinyBERT's two."""

    losses: StageLosses
    """What the stage minimises."""
    epochs: float = Field(gt=0.0, le=1000.0)
    """Passes over the training rows."""
    learning_rate: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Peak of the stage's own schedule; left out, `distil.learning_rate`."""


class Distil(FineTune):
    """How the student learns from the teacher."""

    LATER: ClassVar[tuple[str, ...]] = (
        "freeze_embeddings",
        "layer_map",
        "attention_by",
        "relation_heads",
        "relation_layer",
        "cosine_on",
        "stages",
        "teacher_outputs",
        "unlabelled",
        "unlabelled_column",
        "unlabelled_pair",
        "unlabelled_limit",
    )

    epochs: float = Field(default=4.0, gt=0.0, le=1000.0)
    learning_rate: float = Field(default=1e-4, gt=0.0, lt=1.0)
    temperature: float = Field(default=2.0, gt=0.0, le=100.0)
    """Temperature T that softens both distributions."""
    losses: Losses = Losses()
    freeze_embeddings: bool = False
    """Leave the embeddings as the teacher's: a faster step, and less to overfit on little data."""
    layer_map: LayerMap = "alternate"
    """Which student layer follows which of the teacher's: `alternate` (evenly spread, the last by the last), PKD's
    `skip` or `last` (all but the student's last), or pairs [student, teacher] from 1, 0 being the embeddings."""
    attention_by: Literal["scores", "kl"] = "scores"
    """`attention_maps` compares scores before softmax by squared error, or probabilities by divergence (`kl`)."""
    relation_heads: int | None = Field(default=None, ge=1, le=1024)
    """Parts that `relations` splits queries, keys and values in; left out, as many as fit both, at most the teacher's
    heads."""
    relation_layer: int | None = Field(default=None, ge=1)
    """Teacher layer, from 1, that `relations` follows; left out, the last."""
    cosine_on: Literal["last", "layers"] = "last"
    """`cosine` compares the last hidden states, or those of every mapped layer."""
    stages: list[DistilStage] | None = Field(default=None, min_length=1)
    """Trainings one after the other, in place of `epochs` and `losses`."""
    teacher_outputs: Literal["auto", "cache", "loop"] = "auto"
    """Keep the teacher's outputs on disk, or run it in every step (`loop`); `auto` keeps them where they fit."""
    unlabelled: str | None = None
    """File of more in-domain text, which the teacher labels: .txt, .jsonl(.gz), .tsv, .csv or .parquet."""
    unlabelled_column: str = "text"
    """Key or column of that file which holds the text; a pair's first, or a question."""
    unlabelled_pair: str | None = None
    """Key or column of that file which holds a pair's second text, or the passage that answers a question; left out,
    the data's own name for it where the task is about pairs. Passages without a question, or texts where this is left
    out, ask for what they know themselves."""
    unlabelled_limit: int | None = Field(default=None, gt=0)
    """Use only the first so many of its texts."""

    @model_validator(mode="after")
    def _text_is_named(self) -> Distil:
        for name in ("unlabelled_column", "unlabelled_pair", "unlabelled_limit"):
            if self.unlabelled is None and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"'{name}' is about 'unlabelled': name that file too, or leave it out")
        return self

    @property
    def all_losses(self) -> tuple[str, ...]:
        """Returns the names of the losses that count in any stage."""
        parts: list[Losses] = [stage.losses for stage in self.stages] if self.stages else [self.losses]
        return tuple(dict.fromkeys(name for part in parts for name in part.weights))

    @property
    def all_epochs(self) -> float:
        """Returns the passes over the training rows, all stages together."""
        return sum(stage.epochs for stage in self.stages) if self.stages else self.epochs
