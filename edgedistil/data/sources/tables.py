"""TSV, CSV, JSON lines and Parquet to a table, and what is wrong with a file that cannot be read as one."""

from __future__ import annotations

import csv
import glob
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistil.data.sources.text_files import open_bytes, table_rows
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
        header = _header(path, kind)
        options = {
            "sep": "\t" if kind == "tsv" else ",",
            "features": datasets.Features({name: datasets.Value("string") for name in header}),
            "keep_default_na": False,
            "quoting": csv.QUOTE_NONE if kind == "tsv" else csv.QUOTE_MINIMAL,
        }
    builder = "csv" if kind in TABLES else kind
    # By contents: what the library has read it knows by path and time alone.
    kept = cache / hash_file(path)[:16]
    files = glob.escape(str(path))
    try:
        return datasets.load_dataset(builder, data_files=files, split="train", cache_dir=str(kept), **options)
    except Exception as error:  # noqa: BLE001 - pandas, pyarrow and datasets each raise their own
        if kind == "json":
            _check_lines(path)
        told = str(error.__cause__ or error) or type(error).__name__
        raise UsageError(
            f"cannot read it as {kind} ({told.splitlines()[0][:160]})",
            where=str(path),
            cure=_CURES.get(kind, "check its separators and quotes"),
        ) from None


def _header(path: Path, kind: str) -> list[str]:
    header, first = _first_rows(path, kind)
    place = f"{path}:1"
    if not header:
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
    if len(first) > len(header):
        # pandas would take the first column for row names and shift all the others.
        raise UsageError(
            f"the first row has {len(first)} columns, the header {len(header)}",
            where=str(path),
            cure="name every column, and quote a text that holds a separator",
        )
    # As pandas calls a column without a name, such as that of the row names that it writes itself.
    return [name or f"Unnamed: {number}" for number, name in enumerate(header)]


def _first_rows(path: Path, kind: str) -> tuple[list[str], list[str] | None]:
    rows = (row for _, row in table_rows(path, kind))
    return next(rows, []), next((row for row in rows if row), None)


def _check_lines(path: Path) -> None:
    """Refuses the first line that is no object; a file that is one list is left to others."""
    rows = 0
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, start=1):
            text = line.decode("utf-8-sig").strip()
            if not rows and text.startswith("["):
                return
            if text:
                rows += 1
                _check_object(text, f"{path}:{number}")
    if not rows:
        raise UsageError("the file has no rows", where=str(path), cure="name a file with rows")


def _check_object(text: str, place: str) -> None:
    try:
        row = json.loads(text, object_pairs_hook=_keys_once)
        # Half of a character that takes two, as a text that was cut in the middle may have.
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UsageError("a text has half of a surrogate pair", where=place, cure="mend or remove the row") from None
    except ValueError as error:
        told = getattr(error, "msg", error)
        raise UsageError(f"not valid JSON ({told})", where=place, cure=_CURES["json"]) from None
    if not isinstance(row, dict):
        raise UsageError("the line is no JSON object", where=place, cure='give rows such as {"text": "", "label": 0}')


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found
