"""What the removal of a sublayer's blocks costs, level by level."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Curve:
    """The order in which a sublayer's blocks go, and the error when the first so many are gone.

    Attributes:
        order: Block numbers, the first to go first.
        errors: Squared error of the sublayer's output at level 0 (all kept) to level `len(order)` (none kept).
    """

    order: tuple[int, ...]
    errors: tuple[float, ...]

    def kept(self, level: int) -> list[int]:
        """Returns the blocks that are still there when `level` of them are gone, ascending."""
        return sorted(self.order[level:])
