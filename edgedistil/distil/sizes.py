"""Whether a student's sizes can be had of its teacher's; plain arithmetic, for plans made without torch."""

from __future__ import annotations

import math

from edgedistil.errors import UsageError


def check_sizes(init: str, hidden_size: int, heads: int, teacher_width: int) -> None:
    """Refuses widths that no student can have.

    Args:
        init: How the student starts: of its teacher's weights, or `fresh`.
        hidden_size: Width of its residual stream.
        heads: Its attention heads a layer.
        teacher_width: Width of the model whose layers it starts as.

    Raises:
        UsageError: When the heads do not divide the width, or it cannot come from the teacher's.
    """
    if hidden_size % heads:
        raise UsageError(
            f"a width of {hidden_size} does not divide into {heads} heads",
            where="student.heads",
            cure="choose a number that divides it",
        )
    if init != "fresh" and hidden_size > teacher_width:
        raise UsageError(
            f"a student {hidden_size} wide cannot start from a teacher {teacher_width} wide",
            where="student.hidden_size",
            cure=f"choose at most {teacher_width}, or set student.init: fresh",
        )


def check_relation_heads(section: str, wanted: int, *widths: int) -> None:
    """Refuses parts that projections cannot be split in.

    Args:
        section: The recipe's section that asks for them.
        wanted: How many.
        widths: Of the projections: all heads of a layer, joined.

    Raises:
        UsageError: When one does not divide into so many.
    """
    whole = math.gcd(*widths)
    if whole % wanted:
        fitting = [str(count) for count in range(1, whole + 1) if whole % count == 0]
        raise UsageError(
            f"{section}.relation_heads is {wanted}, which does not divide projections "
            f"{' and '.join(map(str, widths))} wide",
            cure=f"choose one of: {', '.join(fitting)}",
        )
