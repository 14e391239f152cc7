"""Which teacher layers a student is made from and follows; plain arithmetic, for plans made without torch."""

from __future__ import annotations

from collections.abc import Callable

from edgedistil.errors import UsageError, did_you_mean


def alternate_layers(teacher_layers: int, student_layers: int) -> list[int]:
    """Returns which teacher layers a student starts from: evenly spread, the last one included.

    12 to 6 gives 1, 3, 5, 7, 9, 11 (0-based), as DistilBERT does (Sanh et al. 2019, section 3).

    Raises:
        UsageError: When the student has no layer, or more than the teacher.
    """
    if not 1 <= student_layers <= teacher_layers:
        raise UsageError(
            f"a student of {student_layers} layers cannot be taken from a teacher of {teacher_layers}",
            cure=f"choose 1 to {teacher_layers} layers",
        )
    return [(number + 1) * teacher_layers // student_layers - 1 for number in range(student_layers)]


def _evenly_from_the_first(teacher_layers: int, student_layers: int) -> list[int]:
    return [number * teacher_layers // student_layers for number in range(student_layers)]


def _last(teacher_layers: int, student_layers: int) -> list[int]:
    return list(range(teacher_layers - student_layers, teacher_layers))


def _first(teacher_layers: int, student_layers: int) -> list[int]:
    del teacher_layers
    return list(range(student_layers))


STRATEGIES: dict[str, Callable[[int, int], list[int]]] = {
    "alternate": alternate_layers,
    "skip": _evenly_from_the_first,
    "last": _last,
    "first": _first,
}
"""Which layers a student starts from, of 12 to 6: 1, 3, ... 11; 0, 2, ... 10; 6 to 11; or 0 to 5, as PKD does (Sun et
al. 2019, arXiv 1908.09355, section 4.2)."""


def initial_layers(strategy: str, teacher_layers: int, student_layers: int) -> list[int]:
    """Returns which teacher layers a student starts from, 0-based.

    Args:
        strategy: A key of `STRATEGIES`.
        teacher_layers: Layers of the teacher.
        student_layers: Layers of the student.

    Raises:
        UsageError: When there is no such strategy, or the student has no layer or more than the teacher.
    """
    if strategy not in STRATEGIES:
        raise UsageError(f"no way to choose layers is called '{strategy}'", cure=did_you_mean(strategy, STRATEGIES))
    alternate_layers(teacher_layers, student_layers)
    return STRATEGIES[strategy](teacher_layers, student_layers)


def mapped_states(teacher_layers: int, student_layers: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns (student states, teacher states) that the hidden-state loss pairs.

    State 0 is the embeddings' output and state i that of layer i: each of the student's layers follows the teacher's
    layer that it was made from.

    Raises:
        UsageError: As `alternate_layers`.
    """
    kept = alternate_layers(teacher_layers, student_layers)
    return tuple(range(1, student_layers + 1)), tuple(layer + 1 for layer in kept)
