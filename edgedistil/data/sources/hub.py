"""A data set on the Hugging Face Hub, through `datasets`. Its files are read, its code never run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistil.data.sources.base import Rows, select
from edgedistil.errors import EdgeDistilError
from edgedistil.hashing import hash_value
from edgedistil.recipe.load import Workspace
from edgedistil.recipe.schema import Data
from edgedistil.tasks.base import Column

if TYPE_CHECKING:
    import datasets


class HubSource:
    """Splits of one data set on the Hub."""

    def __init__(self, data: Data, workspace: Workspace, downloads: Path, columns: Sequence[Column]) -> None:
        del workspace
        self._data = data
        self._columns = columns
        self._cache = downloads / "hub"

    def fingerprint(self) -> str:
        """Returns a hash of the data set's id, configuration and revision, and of the splits that are read."""
        return hash_value([self._data.hub_id, self._data.hub_config, self._data.hub_revision, self._splits()])

    def estimate_rows(self) -> dict[str, int]:
        """Returns nothing: the Hub is not asked before the data is."""
        return {}

    def read(self) -> dict[str, Rows]:
        """Returns the splits that the recipe names (`train` by default).

        Raises:
            EdgeDistilError: When the Hub cannot be reached or has no such data set.
            UsageError: When a column is missing.
        """
        return {split: self._read_one(name) for split, name in self._splits().items()}

    def _splits(self) -> dict[str, str]:
        named = {"train": self._data.train or "train", "dev": self._data.dev, "test": self._data.test}
        return {split: name for split, name in named.items() if name}

    def _read_one(self, split: str) -> Rows:
        import datasets

        where = f"{self._data.hub_id}/{split}"
        try:
            table = datasets.load_dataset(
                self._data.hub_id,
                self._data.hub_config,
                split=split,
                revision=self._data.hub_revision,
                cache_dir=str(self._cache),
            )
        except Exception as error:  # noqa: BLE001 - the Hub's client raises many kinds
            line = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise EdgeDistilError(
                f"cannot read the data set from the Hub ({line})",
                where=where,
                cure="check id, split and network, or use local files",
            ) from None
        rows = select(table, self._columns, self._data.group, where)
        return Rows(named_classes(rows.table), rows.where, rows.first_row, rows.group)


def named_classes(table: datasets.Dataset) -> datasets.Dataset:
    """Returns a table in which the numbers that its own features name are those names; -1, no label, is empty."""
    import datasets

    for column in ("label", "tags"):
        feature = table.features.get(column)
        inner: Any = getattr(feature, "feature", None)
        number = datasets.Value("int64")
        if hasattr(feature, "names"):
            table = table.cast_column(column, number).map(_name_one, fn_kwargs={"names": feature.names})
        elif hasattr(inner, "names"):
            table = table.cast_column(column, datasets.Sequence(number))
            table = table.map(_name_all, fn_kwargs={"names": inner.names})
    return table


def _name_one(row: dict[str, Any], names: list[str]) -> dict[str, str]:
    return {"label": names[row["label"]] if row["label"] >= 0 else ""}


def _name_all(row: dict[str, Any], names: list[str]) -> dict[str, list[str]]:
    return {"tags": [names[tag] if tag >= 0 else "" for tag in row["tags"]]}
