"""Texts, or pairs of texts, from every kind of file as they are read; one line for a file that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgedistil.data.sources.base import choose_column
from edgedistil.data.sources.files import kind_of
from edgedistil.data.sources.table_faults import check_parquet, check_width
from edgedistil.data.sources.tables import read_header
from edgedistil.data.sources.text_files import check_path, check_text_file, is_whole, open_bytes, table_rows
from edgedistil.errors import UsageError

_BATCH = 512

Row = tuple[str, list[str]]
"""How an error names a row, and its texts in the order of the columns asked for."""


def read_texts(path: Path, column: str) -> Iterator[str]:
    """Yields a file's texts as they are read.

    Args:
        path: `.txt` (a text a line), `.jsonl` or `.jsonl.gz`, `.tsv`, `.csv` or `.parquet`.
        column: Key or column that holds the text, where the file has several.

    Raises:
        UsageError: For a file that cannot be read, by its line.
    """
    for _, (text,) in _read(path, (column,)):
        yield text


def read_pairs(path: Path, columns: tuple[str, str], *, alone: bool = False) -> Iterator[tuple[str, str]]:
    """Yields a file's pairs of texts as they are read; rows of which both sides are empty are passed over.

    Args:
        path: As `read_texts`, but not `.txt`, which has no columns.
        columns: Keys or columns of the first text and of the second.
        alone: Whether a row may have the second text alone; its first is then empty.

    Raises:
        UsageError: For a file that cannot be read, and for a pair with a missing side, by its line.
    """
    if kind_of(path) == "lines":
        raise UsageError("has one text a line, and a pair has two", where=str(path), cure="use .jsonl, .tsv or .csv")
    for place, (first, second) in _read(path, columns, optional=columns[0] if alone else None):
        empty = [name for name, text in zip(columns, (first, second), strict=True) if not text.strip()]
        if len(empty) == 2:
            continue
        if empty and not (alone and empty == [columns[0]]):
            raise UsageError(f"the pair's '{empty[0]}' is empty", where=place, cure="complete the row or remove it")
        yield first, second


def _read(path: Path, columns: Sequence[str], optional: str | None = None) -> Iterator[Row]:
    check_path(path, "correct the path of the unlabelled text")
    kind = kind_of(path)
    if kind is None:
        raise UsageError(
            f"unknown kind of file '{path.suffix}'",
            where=str(path),
            cure="use .txt, .jsonl, .jsonl.gz, .tsv, .csv or .parquet",
        )
    if kind == "parquet":
        yield from _parquet_rows(path, columns)
        return
    check_text_file(path)
    if kind == "lines":
        with path.open(encoding="utf-8-sig", newline="\n") as stream:
            yield from ((f"{path}:{number}", [line.rstrip("\r\n")]) for number, line in enumerate(stream, start=1))
    elif kind == "json":
        yield from _json_rows(path, columns, optional)
    else:
        yield from _table_rows(path, columns, kind)


def _json_rows(path: Path, columns: Sequence[str], optional: str | None) -> Iterator[Row]:
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            place = f"{path}:{number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UsageError(f"not valid JSON ({error})", where=place, cure="give one object a line") from None
            yield place, [_text_of(row, column, place, optional=column == optional) for column in columns]


def _text_of(row: Any, column: str, place: str, *, optional: bool) -> str:
    if not isinstance(row, dict):
        raise UsageError("the line is no JSON object", where=place, cure="give one object a line")
    text = row.get(column)
    if optional and text is None:
        return ""
    if not isinstance(text, str):
        raise UsageError(f"has no text under the key '{column}'", where=place, cure="correct the row or the key")
    if not is_whole(text):
        raise UsageError("a text has half of a surrogate pair", where=place, cure="mend or remove the row")
    return text


def _table_rows(path: Path, columns: Sequence[str], kind: str) -> Iterator[Row]:
    header = read_header(path, kind)
    places = [header.index(choose_column(header, column, "the column of text", path)) for column in columns]
    rows = table_rows(path, kind)
    next(rows)
    for number, row in rows:
        where = f"{path}:{number}"
        check_width(row, header, where)
        if len(row) <= max(places) and row:
            raise UsageError(
                f"the row has {len(row)} columns, the header {len(header)}",
                where=where,
                cure="complete the row or remove it",
            )
        if row:
            yield where, [row[place] for place in places]


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet  # type: ignore[import-untyped]

    check_parquet(path)
    number = 0
    try:
        file = parquet.ParquetFile(path)
        found = list(file.schema_arrow.names)
        names = [choose_column(found, column, "the column of text", path) for column in columns]
        for batch in file.iter_batches(batch_size=_BATCH, columns=list(dict.fromkeys(names))):
            values = {name: batch.column(name).to_pylist() for name in names}
            for index in range(len(batch)):
                number += 1
                place = f"{path}: row {number}"
                yield place, [_told(values[name][index], place) for name in names]
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"cannot read it as parquet ({error})", where=str(path), cure="copy it again") from None


def _told(value: Any, place: str) -> str:
    if isinstance(value, (list, dict, bytes)):
        raise UsageError(
            f"{value!r:.60} is no single text", where=place, cure="name a column of strings, one text a row"
        )
    return "" if value is None else str(value)
