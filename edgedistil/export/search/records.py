"""What a search has tried, as records for the report."""

from __future__ import annotations

from typing import Literal

from edgedistil.bundle.records import Record

Purpose = Literal["whole", "sensitivity", "fewest", "lightest"]


class Trial(Record):
    """One file that was built and measured."""

    scheme: str
    """Its name, such as `static_wi8_ai8`."""
    purpose: Purpose
    """The scheme on every layer; on one layer alone, to rank it; or on all but a beginning of the ranking, by how much
    a layer alone moves the logits (`fewest`) or by that for each byte it saves (`lightest`)."""
    kept: tuple[str, ...] = ()
    """Layers left in higher precision, in the ranking's order; of a sensitivity trial see `alone`."""
    alone: str | None = None
    """The one layer that a sensitivity trial quantised."""
    score: float | None = None
    """On the whole set; None where only the distance was measured."""
    drop: float | None = None
    """The fp32 file's score, in the same runtime, less this one's."""
    drop_interval: tuple[float, float] | None = None
    """The drop's paired 95 % interval."""
    distance: float | None = None
    """Mean difference of a logit from the fp32 file's, on some rows."""
    size_bytes: int
    seconds: float
    """Building and measuring."""
    holds: bool = False
    """Whether the score was measured, its drop is no larger than it may be, and nothing else is at fault."""
    fault: str | None = None
    """Why it cannot ship whatever its score: it does not run, or is too far from the model that it was made from."""

    def describe(self) -> str:
        """Returns the scheme and what is left in higher precision, as part of a sentence."""
        return f"{self.scheme} with {', '.join(self.kept)} in higher precision" if self.kept else self.scheme


def told_drop(drop: float) -> str:
    """Returns a drop as a person reads it: four digits, or the first that is not nought."""
    return f"{drop:.4f}" if drop == 0.0 or abs(drop) >= 5e-5 else f"{drop:.1g}"


class SearchLog(Record):
    """A whole search, in the order of its trials."""

    max_drop: float
    """Largest drop allowed."""
    reference: dict[str, float]
    """The fp32 file's score, by scheme: schemes may be of different runtimes."""
    runtimes: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it for every record
    """What scored files, by scheme, where it is not the format's usual runtime."""
    trials: tuple[Trial, ...] = ()
