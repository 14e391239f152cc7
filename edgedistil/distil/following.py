"""Which of the teacher's layers each of the student's follows; plain arithmetic, for plans made without torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from edgedistil.distil.losses import LOSSES
from edgedistil.errors import UsageError
from edgedistil.layers import alternate_layers
from edgedistil.recipe.schema import Distil, LayerMap

Pair = tuple[int, int]
"""A student's layer and the teacher's that it follows, from 1; 0 is the embeddings' output."""


def pair_layers(
    layer_map: LayerMap, teacher_layers: int, student_layers: int, section: str = "distil"
) -> tuple[Pair, ...]:
    """Returns the mapped layers.

    Args:
        layer_map: `alternate` pairs each layer with one of the teacher's, evenly spread, the last with the last;
            `skip` and `last` are PKD's (Sun et al. 2019, arXiv 1908.09355, section 3.2): all but the student's last
            layer follow every k-th teacher layer, or those just below the teacher's last; or the pairs themselves.
        teacher_layers: Layers of the teacher.
        student_layers: Layers of the student.
        section: Of the recipe, for messages.

    Raises:
        UsageError: When a layer does not exist, or nothing is paired.
    """
    if not isinstance(layer_map, str):
        return _checked(layer_map, teacher_layers, student_layers, section)
    alternate = [layer + 1 for layer in alternate_layers(teacher_layers, student_layers)]
    if layer_map == "alternate":
        return tuple(enumerate(alternate, start=1))
    if student_layers == 1:
        raise UsageError(
            f"{section}.layer_map '{layer_map}' leaves out the student's last layer, and it has but one",
            cure="choose 'alternate'",
        )
    lower = alternate[:-1] if layer_map == "skip" else list(range(teacher_layers - student_layers + 1, teacher_layers))
    return tuple(enumerate(lower, start=1))


def _checked(pairs: Sequence[Pair], teacher_layers: int, student_layers: int, section: str) -> tuple[Pair, ...]:
    if not pairs:
        raise UsageError(f"{section}.layer_map pairs nothing", cure="name pairs such as [[1, 2], [2, 4]]")
    for student, teacher in pairs:
        if not (0 <= student <= student_layers and 0 <= teacher <= teacher_layers):
            raise UsageError(
                f"{section}.layer_map pairs student layer {student} with teacher layer {teacher}",
                cure=f"the student has layers 1 to {student_layers}, the teacher 1 to {teacher_layers}, "
                "and 0 is the embeddings",
            )
    return tuple((student, teacher) for student, teacher in pairs)


@dataclass(frozen=True)
class Following:
    """Who follows whom in a run.

    Attributes:
        pairs: The mapped layers.
        last: Number of the student's last layer and the teacher's.
        relation: The pair that `relations` compares.
        temperature: Softens both distributions.
        relation_heads: Parts that `relations` splits projections in; None for as many as fit.
        attention_by: How `attention_maps` compares.
        cosine_on: What `cosine` compares.
        section: Of the recipe, for messages.
    """

    pairs: tuple[Pair, ...] = ()
    last: Pair = (0, 0)
    relation: Pair = (0, 0)
    temperature: float = 1.0
    relation_heads: int | None = None
    attention_by: Literal["scores", "kl"] = "scores"
    cosine_on: Literal["last", "layers"] = "last"
    section: str = "distil"

    @classmethod
    def of(
        cls, settings: Distil, teacher_layers: int, student_heads: Sequence[int], section: str = "distil"
    ) -> Following:
        """Returns what a recipe says.

        Args:
            settings: The recipe's section.
            teacher_layers: Layers of the teacher.
            student_heads: Attention heads of each of the student's layers; a pruned one may have none.
            section: Its name in the recipe, for messages.

        Raises:
            UsageError: When a layer that is named does not exist, or a loss has none to compare.
        """
        followed = settings.relation_layer or teacher_layers
        if followed > teacher_layers:
            raise UsageError(
                f"{section}.relation_layer is {followed}, and the teacher has {teacher_layers} layers",
                cure=f"name a layer from 1 to {teacher_layers}",
            )
        pairs = pair_layers(settings.layer_map, teacher_layers, len(student_heads), section)
        if "attention_maps" in settings.all_losses and not any(min(pair) for pair in pairs):
            raise UsageError(
                f"attention_maps compares layers, and {section}.layer_map pairs none but the embeddings",
                cure="pair two layers, such as [1, 2], or set its weight to 0",
            )
        return cls(
            pairs=pairs,
            last=(len(student_heads), teacher_layers),
            relation=(last_with_heads(student_heads), followed),
            temperature=settings.temperature,
            relation_heads=settings.relation_heads,
            attention_by=settings.attention_by,
            cosine_on=settings.cosine_on,
            section=section,
        )

    def states(self, losses: Iterable[str]) -> tuple[Pair, ...]:
        """Returns the pairs of hidden states that some losses compare."""
        return _union(LOSSES[name].states(self) for name in losses)

    def projections(self, losses: Iterable[str]) -> tuple[Pair, ...]:
        """Returns the pairs of layers whose queries, keys and values some losses compare."""
        return _union(LOSSES[name].projections(self) for name in losses)

    def teacher_states(self, losses: Iterable[str]) -> tuple[int, ...]:
        """Returns the teacher's states that a cache must hold for some losses.

        The queries, keys and values of a layer are computed again from the state below it.
        """
        names = tuple(losses)
        own = {teacher for _, teacher in self.states(names)}
        return tuple(sorted(own | {teacher - 1 for _, teacher in self.projections(names)}))


def last_with_heads(heads: Sequence[int]) -> int:
    """Returns the number, from 1, of the last layer that has attention heads; 0 where none has."""
    return max((number for number, count in enumerate(heads, start=1) if count), default=0)


def teacher_states(
    settings: Distil, teacher_layers: int, student_layers: int, section: str = "distil"
) -> tuple[int, ...]:
    """Returns the teacher's states that a recipe's losses need cached (0 is the embeddings' output).

    Args:
        settings: The recipe's section.
        teacher_layers: Layers of the teacher.
        student_layers: Layers of the student.
        section: The section's name, for messages.

    Raises:
        UsageError: When the layers do not fit.
    """
    following = Following.of(settings, teacher_layers, [1] * student_layers, section)
    return following.teacher_states(settings.all_losses)


def _union(parts: Iterable[tuple[Pair, ...]]) -> tuple[Pair, ...]:
    return tuple(sorted({pair for part in parts for pair in part}))
