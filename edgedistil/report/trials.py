"""What was tried to keep a quantised bundle's score: a row a scored file, as the bundle's own log tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.read import Bundle
from edgedistil.bundle.records import check, read_json

TRIALS_NAME = "quantise.json"
"""Where a bundle keeps its log."""


class _Lenient(BaseModel):
    """What of a record is shown; a log says more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class TrialRow(_Lenient):
    """One file that was tried; of one layer quantised alone, or one that does not run, there is no score."""

    scheme: str
    kept: tuple[str, ...] = ()
    alone: str | None = None
    drop: float | None = None
    drop_interval: tuple[float, float] | None = None
    size_bytes: int
    holds: bool = False
    fault: str | None = None

    @property
    def title(self) -> str:
        """Returns the format's name in tables."""
        return FORMATS[self.scheme].title if self.scheme in FORMATS else self.scheme

    @property
    def layers(self) -> str:
        """Returns what was left in higher precision, in words."""
        return ", ".join(self.kept) or "nothing"


class _Log(_Lenient):
    max_drop: float
    trials: tuple[TrialRow, ...] = ()


@dataclass(frozen=True)
class Tried:
    """A log as a page shows it.

    Attributes:
        max_drop: Largest drop allowed, as a share.
        rows: The files that might have shipped, in order.
        probed: Files that had one layer quantised alone, to rank it.
    """

    max_drop: float
    rows: Sequence[TrialRow]
    probed: int


def tried_of(bundle: Bundle | None) -> Tried | None:
    """Returns what was tried to make a bundle's quantised files; None where it has no log.

    Raises:
        UsageError: When its log cannot be read.
    """
    path = bundle.folder / TRIALS_NAME if bundle else None
    if path is None or not path.is_file():
        return None
    log = check(read_json(path, what="log of trials"), _Log, where=str(path))
    whole = [row for row in log.trials if row.alone is None]
    return Tried(log.max_drop, whole, len(log.trials) - len(whole))
