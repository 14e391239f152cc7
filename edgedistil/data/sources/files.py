"""Local TSV, CSV, JSONL and Parquet files, read through `datasets` (memory-mapped Arrow), and two layouts of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from edgedistil.data.sources.base import Rows, select
from edgedistil.data.sources.lines import read_lines
from edgedistil.data.sources.squad import is_squad, read_squad
from edgedistil.data.sources.tables import TABLES, load_table
from edgedistil.data.sources.text_files import LineNumbers, check_path, check_text_file, open_bytes
from edgedistil.errors import UsageError
from edgedistil.hashing import hash_file, hash_value
from edgedistil.recipe.load import Workspace
from edgedistil.recipe.schema import Data
from edgedistil.tasks.base import Column

_KINDS = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "json",
    ".json": "json",
    ".jsonl.gz": "json",
    ".parquet": "parquet",
    ".txt": "lines",
}


class FileSource:
    """One file a split, and for lines of text another with their labels."""

    def __init__(self, data: Data, workspace: Workspace, downloads: Path, columns: Sequence[Column]) -> None:
        self._data = data
        self._columns = columns
        self._cache = downloads.parent / "arrow"
        named = {"train": data.train, "dev": data.dev, "test": data.test}
        self._paths = {split: workspace.resolve(path) for split, path in named.items() if path}
        labels = {"train": data.train_labels, "dev": data.dev_labels, "test": data.test_labels}
        self._labels = {split: workspace.resolve(path) for split, path in labels.items() if path}

    def fingerprint(self) -> str:
        """Returns a hash of every file's bytes.

        Raises:
            UsageError: When a file is missing or of an unknown kind, has labels beside it that are not read, or holds
                lines of text without their labels or for a task that reads more.
        """
        for path in [*self._paths.values(), *self._labels.values()]:
            _check_file(path)
        for split, path in self._paths.items():
            self._check_labels(split, path)
        files = self._paths | {f"{split}_labels": path for split, path in self._labels.items()}
        return hash_value({name: hash_file(path) for name, path in files.items()})

    def _check_labels(self, split: str, path: Path) -> None:
        if kind_of(path) != "lines":
            if split in self._labels:
                raise UsageError(
                    f"data.{split}_labels is not read: a table holds its own labels",
                    where=str(path),
                    cure=f"leave out data.{split}_labels",
                )
            return
        unread = next((column for column in self._columns if column.name not in ("text", "label")), None)
        if unread:
            raise UsageError(
                f"has a text a line, and the task reads {unread.key} too", where=str(path), cure="use .jsonl or a table"
            )
        if split not in self._labels:
            raise UsageError(
                "lines of text come without labels",
                where=str(path),
                cure=f"name the file with a label a line: data.{split}_labels",
            )

    def estimate_rows(self) -> dict[str, int]:
        """Returns about how many rows each file has: its lines, or its size over that of a usual row."""
        return {split: _about_rows(path) for split, path in self._paths.items() if path.is_file()}

    def read(self) -> dict[str, Rows]:
        """Returns the splits that the recipe names."""
        return {split: self._read_one(split, path) for split, path in self._paths.items()}

    def _read_one(self, split: str, path: Path) -> Rows:
        kind = kind_of(path) or ""
        lines = 0 if kind == "parquet" else check_text_file(path)
        if path.suffix == ".json" and is_squad(path):
            kind = "squad"
            table = read_squad(path, self._cache)
        elif kind == "lines":
            check_text_file(self._labels[split])
            table = read_lines(path, self._labels[split], self._cache)
        else:
            table = load_table(path, kind, self._cache)
        rows = select(table, self._columns, self._data.group, str(path), 2 if kind in TABLES else 1)
        return replace(rows, numbers=_numbers(path, kind, lines, len(table)))


def _check_file(path: Path) -> None:
    check_path(path, "correct the recipe's 'data' paths")
    if kind_of(path) is None:
        raise UsageError(
            f"unknown kind of file '{path.suffix}'",
            where=str(path),
            cure="use .tsv, .csv, .jsonl, .jsonl.gz or .parquet",
        )


def _numbers(path: Path, kind: str, lines: int, rows: int) -> Callable[[int], int | None] | None:
    """Returns what tells the line of a row; None where that is simply its number, behind the header if there is one."""
    if kind in ("parquet", "squad"):
        return _no_line
    # Blank lines, and rows of several lines, set the two apart.
    return None if lines == rows + (kind in TABLES) else LineNumbers(path, kind, rows)


def _no_line(row: int) -> None:
    del row


def kind_of(path: Path) -> str | None:
    """Returns how a file is read, by its name; None for a kind that is not known."""
    return _KINDS.get(".jsonl.gz" if path.name.endswith(".jsonl.gz") else path.suffix)


def _about_rows(path: Path) -> int:
    if path.suffix in (".parquet", ".gz"):
        return path.stat().st_size // 64
    with open_bytes(path) as stream:
        return max(0, sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b"")) - 1)
