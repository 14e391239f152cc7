"""Local TSV, CSV, JSONL and Parquet files, read through `datasets` (memory-mapped Arrow)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistil.data.sources.base import Rows
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.hashing import hash_file, hash_value
from edgedistil.recipe.load import Workspace
from edgedistil.recipe.schema import Data

if TYPE_CHECKING:
    import datasets

_KINDS = {".tsv": "tsv", ".csv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}


class FileSource:
    """One file a split."""

    def __init__(self, data: Data, workspace: Workspace, downloads: Path) -> None:
        self._data = data
        self._cache = downloads.parent / "arrow"
        named = {"train": data.train, "dev": data.dev, "test": data.test}
        self._paths = {split: workspace.resolve(path) for split, path in named.items() if path}

    def fingerprint(self) -> str:
        """Returns a hash of every file's bytes.

        Raises:
            UsageError: When a file is missing or of an unknown kind.
        """
        for path in self._paths.values():
            if path.suffix not in _KINDS:
                raise UsageError(
                    f"unknown kind of file '{path.suffix}'",
                    where=str(path),
                    cure="use .tsv, .csv, .jsonl or .parquet",
                )
            if not path.is_file():
                raise UsageError("no such data file", where=str(path), cure="correct the recipe's 'data' paths")
        return hash_value({split: hash_file(path) for split, path in self._paths.items()})

    def estimate_rows(self) -> dict[str, int]:
        """Returns about how many rows each file has: its lines, or its size over that of a usual row."""
        return {split: _about_rows(path) for split, path in self._paths.items() if path.is_file()}

    def read(self) -> dict[str, Rows]:
        """Returns the splits that the recipe names."""
        return {split: self._read_one(path) for split, path in self._paths.items()}

    def _read_one(self, path: Path) -> Rows:
        kind = _KINDS[path.suffix]
        if kind != "parquet":
            check_text_file(path)
        table = _load(path, kind, self._cache)
        text = choose_column(table.column_names, self._data.text, "data.text", path)
        label = choose_column(table.column_names, self._data.label, "data.label", path)
        table = table.select_columns([text, label]).rename_columns({text: "text", label: "label"})
        return Rows(table, str(path), first_row=2 if kind in ("tsv", "csv") else 1)


def _about_rows(path: Path) -> int:
    if path.suffix == ".parquet":
        return path.stat().st_size // 64
    with path.open("rb") as stream:
        return max(0, sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b"")) - 1)


def check_text_file(path: Path) -> None:
    """Checks that a file has content and is UTF-8, line by line.

    Raises:
        UsageError: Naming the file and the line.
    """
    if path.stat().st_size == 0:
        raise UsageError("the file is empty", where=str(path), cure="name a file with rows")
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise UsageError(
                    f"not UTF-8 (byte 0x{line[error.start]:02x})",
                    where=f"{path}:{number}",
                    cure=f"convert it, for example: iconv -f latin1 -t utf-8 {path.name}",
                ) from None


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


def _load(path: Path, kind: str, cache: Path) -> datasets.Dataset:
    import datasets

    # A file that cannot be read is told below, once.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    options: dict[str, Any] = {}
    if kind in ("tsv", "csv"):
        # Strings throughout: a text that reads "null" or "3" is a text.
        separator = "\t" if kind == "tsv" else ","
        header = _header(path, separator)
        options = {
            "sep": separator,
            "features": datasets.Features({name: datasets.Value("string") for name in header}),
            "keep_default_na": False,
            "quoting": csv.QUOTE_NONE if kind == "tsv" else csv.QUOTE_MINIMAL,
        }
    builder = "csv" if kind in ("tsv", "csv") else kind
    try:
        return datasets.load_dataset(builder, data_files=str(path), split="train", cache_dir=str(cache), **options)
    except Exception as error:  # noqa: BLE001 - pandas, pyarrow and datasets each raise their own
        cause = str(error.__cause__ or error).splitlines()[0]
        raise UsageError(
            f"cannot read it as {kind} ({cause[:160]})",
            where=str(path),
            cure="check its separators and quotes",
        ) from None


def _header(path: Path, separator: str) -> list[str]:
    header, first = _first_rows(path, separator)
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


def _first_rows(path: Path, separator: str) -> tuple[list[str], list[str] | None]:
    csv.field_size_limit(1 << 30)  # a text may be longer than the 128 KiB that the module expects
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(
                stream, delimiter=separator, quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
            )
            return next(rows, []), next((row for row in rows if row), None)
    except csv.Error as error:
        raise UsageError(f"cannot read its first rows ({error})", where=str(path), cure="check its quotes") from None
