"""A data set on the Hugging Face Hub, through `datasets`. Its files are read, its code never run."""

from __future__ import annotations

from pathlib import Path

from edgedistil.data.sources.base import Rows
from edgedistil.data.sources.files import choose_column
from edgedistil.errors import EdgeDistilError
from edgedistil.hashing import hash_value
from edgedistil.recipe.load import Workspace
from edgedistil.recipe.schema import Data


class HubSource:
    """Splits of one data set on the Hub."""

    def __init__(self, data: Data, workspace: Workspace, downloads: Path) -> None:
        del workspace
        self._data = data
        self._cache = downloads / "hub"

    def fingerprint(self) -> str:
        """Returns a hash of the data set's id, configuration and revision."""
        return hash_value([self._data.hub_id, self._data.hub_config, self._data.hub_revision])

    def estimate_rows(self) -> dict[str, int]:
        """Returns nothing: the Hub is not asked before the data is."""
        return {}

    def read(self) -> dict[str, Rows]:
        """Returns the splits that the recipe names (`train` by default).

        Raises:
            EdgeDistilError: When the Hub cannot be reached or has no such data set.
            UsageError: When a column is missing.
        """
        named = {"train": self._data.train or "train", "dev": self._data.dev, "test": self._data.test}
        return {split: self._read_one(name) for split, name in named.items() if name}

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
        text = choose_column(table.column_names, self._data.text, "data.text", where)
        label = choose_column(table.column_names, self._data.label, "data.label", where)
        feature = table.features[label]
        table = table.select_columns([text, label]).rename_columns({text: "text", label: "label"})
        if hasattr(feature, "names"):
            names = feature.names
            table = table.cast_column("label", datasets.Value("int64"))
            table = table.map(lambda row: {"label": names[row["label"]] if row["label"] >= 0 else ""})
        return Rows(table, where)
