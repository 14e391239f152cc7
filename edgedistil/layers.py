"""Which teacher layers a student is made from and follows; plain arithmetic, for plans made without torch."""

from __future__ import annotations

from edgedistil.errors import UsageError


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


def mapped_states(teacher_layers: int, student_layers: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns (student states, teacher states) that the hidden-state loss pairs.

    State 0 is the embeddings' output and state i that of layer i: each of the student's layers follows the teacher's
    layer that it was made from.

    Raises:
        UsageError: As `alternate_layers`.
    """
    kept = alternate_layers(teacher_layers, student_layers)
    return tuple(range(1, student_layers + 1)), tuple(layer + 1 for layer in kept)
