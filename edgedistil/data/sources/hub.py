"""A data set on the Hugging Face Hub, through `datasets`. Its files are read, its code never run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.data.sources.base import Rows, select
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.hashing import hash_value
from edgedistil.recipe.load import Workspace
from edgedistil.recipe.schema import Data
from edgedistil.tasks.base import Column

_BATCH = 10_000


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
        return named_classes(select(table, self._columns, self._data.group, where), self._data.labels)


def named_classes(rows: Rows, labels: list[str] | None = None) -> Rows:
    """Returns rows in which the numbers that their own features name are names; those without a class are left out.

    Args:
        rows: As they were read.
        labels: What the numbers stand for where these are as many as the features' own names and others than those.

    Raises:
        UsageError: When no row has a class.
    """
    label: Any = rows.table.features.get("label")
    if hasattr(label, "names"):
        rows = _name_labels(_labelled(rows), _names(label.names, labels))
    tag: Any = getattr(rows.table.features.get("tags"), "feature", None)
    if hasattr(tag, "names"):
        rows = _name_tags(rows, _names(tag.names, labels))
    return rows


def _names(own: list[str], labels: list[str] | None) -> list[str]:
    return labels if labels and len(labels) == len(own) and set(labels) != set(own) else own


def _labelled(rows: Rows) -> Rows:
    """Returns the rows that have a class: the Hub gives -1 to the others."""
    labels = (label for part in rows.table.select_columns(["label"]).iter(_BATCH) for label in part["label"])
    numbers = np.array([-1 if label is None else label for label in labels], dtype=np.int64)
    kept = np.flatnonzero(numbers >= 0)
    lost = len(numbers) - len(kept)
    if not lost:
        return rows
    if not len(kept):
        raise UsageError("no row has a label (all are -1)", where=rows.where, cure="name a split that has labels")
    note = f"{lost} rows of {rows.where} have no label (-1) and were left out"
    return replace(rows, table=rows.table.select(kept), numbers=lambda row: int(kept[row]) + 1, notes=(note,))


def _name_labels(rows: Rows, names: list[str]) -> Rows:
    import datasets

    table = rows.table.cast_column("label", datasets.Value("int64"))
    return replace(rows, table=table.map(_name_one, fn_kwargs={"names": names}), labels=names)


def _name_tags(rows: Rows, names: list[str]) -> Rows:
    import datasets

    table = rows.table.cast_column("tags", datasets.Sequence(datasets.Value("int64")))
    return replace(rows, table=table.map(_name_all, fn_kwargs={"names": names}))


def _name_one(row: dict[str, Any], names: list[str]) -> dict[str, str]:
    return {"label": names[row["label"]]}


def _name_all(row: dict[str, Any], names: list[str]) -> dict[str, list[str]]:
    return {"tags": ["" if tag is None or tag < 0 else names[tag] for tag in row["tags"] or []]}
