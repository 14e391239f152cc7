"""What every source of examples gives: rows of what its task reads, by split, and a fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgedistil.errors import UsageError, did_you_mean
from edgedistil.tasks.base import Column

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Rows:
    """One split as it was read.

    Attributes:
        table: The task's columns under its names for them, such as `text` and `label`; memory-mapped.
        where: How an error names the split: its file or Hub id.
        first_row: Number that an error gives to row 0: 2 for a file with a header line.
        group: Column whose values are never on two sides of a split, where the recipe names one.
        numbers: Gives the number of a row, from 0, where that is not its place behind `first_row`; None where a row
            has no line of its own.
        labels: Names of the classes in the order of their numbers, where the source has such an order.
        notes: What a person should know of what was left out.
    """

    table: datasets.Dataset
    where: str
    first_row: int = 1
    group: str | None = None
    numbers: Callable[[int], int | None] | None = None
    labels: list[str] | None = None
    notes: tuple[str, ...] = ()

    def place(self, row: int) -> str:
        """Returns how an error names a row, which is counted from 0."""
        number = self.numbers(row) if self.numbers else row + self.first_row
        return f"{self.where}: row {row + 1}" if number is None else f"{self.where}:{number}"


class Source(Protocol):
    """A source of examples."""

    def fingerprint(self) -> str:
        """Returns a hash that changes when the examples do; cheap, and without a download."""

    def estimate_rows(self) -> dict[str, int]:
        """Returns about how many rows each split has, cheaply; a split that cannot be told is left out."""

    def read(self) -> dict[str, Rows]:
        """Returns the splits: `train` always, `dev` and `test` where the source has them."""


def choose_column(columns: list[str], wanted: str | list[str], key: str, path: Path | str) -> str:
    """Returns the first wanted column that a table has.

    Raises:
        UsageError: When it has none of them.
    """
    names = [wanted] if isinstance(wanted, str) else wanted
    for name in names:
        if name in columns:
            return name
    raise UsageError(
        f"no column '{' or '.join(names)}' ({key}); the file has: {', '.join(columns)}",
        where=str(path),
        cure=did_you_mean(names[0], columns),
    )


def select(
    table: datasets.Dataset, columns: Sequence[Column], group: str | None, where: str, first_row: int = 1
) -> Rows:
    """Returns a table's rows with the task's columns alone, under its names for them.

    Args:
        table: As it was read.
        columns: What the task reads.
        group: The recipe's `data.group`.
        where: How an error names the split.
        first_row: Number that an error gives to row 0.

    Raises:
        UsageError: When a column is missing, or one is named for two purposes.
    """
    names = {choose_column(table.column_names, column.wanted, column.key, where): column for column in columns}
    if len(names) < len(columns):
        lost = next(column for column in columns if column not in names.values())
        raise UsageError(f"{lost.key} names a column that another key names too", where=where, cure="name two columns")
    renamed = {found: column.name for found, column in names.items()}
    if group is not None:
        renamed.setdefault(choose_column(table.column_names, group, "data.group", where), "group")
    # First out of the way: a column may bear the name that another one gets.
    table = table.select_columns(list(renamed)).rename_columns({name: f"_{name}" for name in renamed})
    table = table.rename_columns({f"_{name}": new for name, new in renamed.items()})
    return Rows(table, where, first_row, renamed[group] if group is not None else None)
