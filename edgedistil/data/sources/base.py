"""What every source of examples gives: rows of text and label, by split, and a fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Rows:
    """One split as it was read.

    Attributes:
        table: Columns `text` and `label`, both strings.
        where: How an error names the split: its file or Hub id.
        first_row: Number that an error gives to row 0: 2 for a file with a header line.
    """

    table: datasets.Dataset
    where: str
    first_row: int = 1


class Source(Protocol):
    """A source of examples."""

    def fingerprint(self) -> str:
        """Returns a hash that changes when the examples do; cheap, and without a download."""

    def estimate_rows(self) -> dict[str, int]:
        """Returns about how many rows each split has, cheaply; a split that cannot be told is left out."""

    def read(self) -> dict[str, Rows]:
        """Returns the splits: `train` always, `dev` and `test` where the source has them."""
