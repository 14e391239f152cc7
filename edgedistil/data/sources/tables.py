"""TSV, CSV, JSON lines and Parquet to a table."""

from __future__ import annotations

import csv
import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistil.data.sources.table_faults import check_json, check_opening, check_parquet, check_table, check_width
from edgedistil.data.sources.text_files import table_rows
from edgedistil.errors import UsageError
from edgedistil.hashing import hash_file

if TYPE_CHECKING:
    import datasets

TABLES = ("tsv", "csv")
_SEPARATORS = (",", ";", "\t", "|")
_CURES = {
    "json": "give one object a line, each with the same keys",
    "parquet": "it is damaged or of another kind: make or copy it again",
}


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
    if kind in TABLES:
        # Strings throughout: a text that reads "null" or "3" is a text.
        header = read_header(path, kind)
        options = {
            "sep": "\t" if kind == "tsv" else ",",
            "features": datasets.Features({name: datasets.Value("string") for name in header}),
            "keep_default_na": False,
            "quoting": csv.QUOTE_NONE if kind == "tsv" else csv.QUOTE_MINIMAL,
        }
    elif kind == "json":
        check_opening(path)
    builder = "csv" if kind in TABLES else kind
    # By contents: what the library has read it knows by path and time alone.
    kept = cache / hash_file(path)[:16]
    files = glob.escape(str(path))
    try:
        return datasets.load_dataset(builder, data_files=files, split="train", cache_dir=str(kept), **options)
    except Exception as error:  # noqa: BLE001 - pandas, pyarrow and datasets each raise their own
        told = str(error.__cause__ or error) or type(error).__name__
        _find_fault(path, kind)
        raise UsageError(
            f"cannot read it as {kind} ({told.splitlines()[0][:160]})",
            where=str(path),
            cure=_CURES.get(kind, "check its separators and quotes"),
        ) from None


def read_header(path: Path, kind: str) -> list[str]:
    """Returns the names of a table's columns; one without a name gets its number.

    Args:
        path: The file.
        kind: `tsv` or `csv`.

    Raises:
        UsageError: When the first line does not name each column once, or no row stands below it.
    """
    rows = table_rows(path, kind)
    _, header = next(rows, (1, []))
    line, first = next(((line, row) for line, row in rows if row), (1, None))
    place = f"{path}:1"
    if not any(name.strip() for name in header):
        raise UsageError("the first line must name the columns, each once", where=place, cure="add a header line")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"the first line must name the columns, each once, and names '{twice}' again",
            where=place,
            cure="rename or remove one, or add a header line",
        )
    if len(header) == 1 and any(other in header[0] for other in _SEPARATORS):
        raise UsageError(
            f"the first line names one column, '{header[0][:80]}'",
            where=place,
            cure="part the columns by a tab in a .tsv and by commas in a .csv",
        )
    if first is None:
        raise UsageError("the file has a header and no rows", where=str(path), cure="name a file with rows")
    # pandas would take the first column for row names and shift all the others.
    check_width(first, header, f"{path}:{line}")
    # As pandas calls a column without a name, such as that of the row names that it writes itself.
    return [name or f"Unnamed: {number}" for number, name in enumerate(header)]


def _find_fault(path: Path, kind: str) -> None:
    """Refuses a file that could not be read by what is wrong with it, where that can be found."""
    if kind in TABLES:
        check_table(path, kind)
    elif kind == "json":
        check_json(path)
    else:
        check_parquet(path)
