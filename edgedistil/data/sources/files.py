"""Local TSV, CSV, JSONL and Parquet files, read through `datasets` (memory-mapped Arrow), and two layouts of others."""

from __future__ import annotations

import csv
import glob
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistil.data.sources.base import Rows, select
from edgedistil.data.sources.lines import read_lines
from edgedistil.data.sources.squad import is_squad, read_squad
from edgedistil.data.sources.text_files import LineNumbers, check_text_file, open_bytes, table_rows
from edgedistil.errors import UsageError
from edgedistil.hashing import hash_file, hash_value
from edgedistil.recipe.load import Workspace
from edgedistil.recipe.schema import Data
from edgedistil.tasks.base import Column

if TYPE_CHECKING:
    import datasets

_KINDS = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "json",
    ".json": "json",
    ".jsonl.gz": "json",
    ".parquet": "parquet",
    ".txt": "lines",
}
_TABLES = ("tsv", "csv")


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
            UsageError: When a file is missing or of an unknown kind, or has labels beside it that are not read.
        """
        for path in [*self._paths.values(), *self._labels.values()]:
            if kind_of(path) is None:
                raise UsageError(
                    f"unknown kind of file '{path.suffix}'",
                    where=str(path),
                    cure="use .tsv, .csv, .jsonl or .parquet",
                )
            if not path.is_file():
                raise UsageError("no such data file", where=str(path), cure="correct the recipe's 'data' paths")
        for split in self._labels:
            if kind_of(self._paths[split]) != "lines":
                raise UsageError(
                    f"data.{split}_labels is not read: a table holds its own labels",
                    where=str(self._paths[split]),
                    cure=f"leave out data.{split}_labels",
                )
        files = self._paths | {f"{split}_labels": path for split, path in self._labels.items()}
        return hash_value({name: hash_file(path) for name, path in files.items()})

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
            table = read_lines(path, self._labels_of(split, path), self._cache)
        else:
            table = load_table(path, kind, self._cache)
        rows = select(table, self._columns, self._data.group, str(path), 2 if kind in _TABLES else 1)
        return replace(rows, numbers=_numbers(path, kind, lines, len(table)))

    def _labels_of(self, split: str, path: Path) -> Path:
        if split not in self._labels:
            raise UsageError(
                "lines of text come without labels",
                where=str(path),
                cure=f"name the file with a label a line: data.{split}_labels",
            )
        check_text_file(self._labels[split])
        return self._labels[split]


def _numbers(path: Path, kind: str, lines: int, rows: int) -> Callable[[int], int | None] | None:
    """Returns what tells the line of a row; None where that is simply its number, behind the header if there is one."""
    if kind in ("parquet", "squad"):
        return _no_line
    # Blank lines, and rows of several lines, set the two apart.
    return None if lines == rows + (kind in _TABLES) else LineNumbers(path, kind, rows)


def _no_line(row: int) -> None:
    del row


def kind_of(path: Path) -> str | None:
    """Returns how a file is read, by its name; None for a kind that is not known."""
    return _KINDS.get(".jsonl.gz" if path.name.endswith(".jsonl.gz") else path.suffix)


def _about_rows(path: Path) -> int:
    if path.suffix == ".parquet":
        return path.stat().st_size // 64
    with open_bytes(path) as stream:
        return max(0, sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b"")) - 1)


def load_table(path: Path, kind: str, cache: Path) -> datasets.Dataset:
    """Returns a file's table, memory-mapped.

    Args:
        path: The file.
        kind: `tsv`, `csv`, `json` or `parquet`.
        cache: Where the Arrow file is kept.

    Raises:
        UsageError: When the file cannot be read as that.
    """
    import datasets

    # A file that cannot be read is told below, once.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    options: dict[str, Any] = {}
    if kind in _TABLES:
        # Strings throughout: a text that reads "null" or "3" is a text.
        header = _header(path, kind)
        options = {
            "sep": "\t" if kind == "tsv" else ",",
            "features": datasets.Features({name: datasets.Value("string") for name in header}),
            "keep_default_na": False,
            "quoting": csv.QUOTE_NONE if kind == "tsv" else csv.QUOTE_MINIMAL,
        }
    builder = "csv" if kind in _TABLES else kind
    # By contents: what the library has read it knows by path and time alone.
    kept = cache / hash_file(path)[:16]
    files = glob.escape(str(path))
    try:
        return datasets.load_dataset(builder, data_files=files, split="train", cache_dir=str(kept), **options)
    except Exception as error:  # noqa: BLE001 - pandas, pyarrow and datasets each raise their own
        cause = str(error.__cause__ or error).splitlines()[0]
        raise UsageError(
            f"cannot read it as {kind} ({cause[:160]})",
            where=str(path),
            cure="check its separators and quotes",
        ) from None


def _header(path: Path, kind: str) -> list[str]:
    header, first = _first_rows(path, kind)
    if len(set(header)) != len(header) or not header:
        raise UsageError("the first line must name the columns, each once", where=f"{path}:1", cure="add a header line")
    if first is None:
        raise UsageError("the file has a header and no rows", where=str(path), cure="name a file with rows")
    if len(first) > len(header):
        # pandas would take the first column for row names and shift all the others.
        raise UsageError(
            f"the first row has {len(first)} columns, the header {len(header)}",
            where=str(path),
            cure="name every column, and quote a text that holds a separator",
        )
    return header


def _first_rows(path: Path, kind: str) -> tuple[list[str], list[str] | None]:
    rows = (row for _, row in table_rows(path, kind))
    return next(rows, []), next((row for row in rows if row), None)
