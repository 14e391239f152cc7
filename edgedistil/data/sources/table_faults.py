"""What is wrong with a table that cannot be read as it is, told by its line."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgedistil.data.sources.text_files import is_whole, open_bytes, read_json, table_rows
from edgedistil.errors import UsageError

_SETTLED = 10 << 20
"""Bytes of JSON lines by which `datasets` settles on columns and their types."""
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number with a point",
    str: "a text",
    list: "a list",
    dict: "an object",
}
_OBJECTS = 'give rows such as {"text": "", "label": 0}'


def check_width(row: Sequence[str], header: Sequence[str], place: str) -> None:
    """Refuses a row with more columns than the header names.

    Raises:
        UsageError: Naming the row.
    """
    if len(row) > len(header):
        raise UsageError(
            f"the row has {len(row)} columns, the header {len(header)}",
            where=place,
            cure="name every column; within a text a separator is quoted in a .csv, and has no place in a .tsv",
        )


def check_table(path: Path, kind: str) -> None:
    """Refuses the first row that is too wide, or whose quotes cannot be read.

    Args:
        path: The file.
        kind: `tsv` or `csv`.

    Raises:
        UsageError: Naming the line that the row begins on.
    """
    rows = table_rows(path, kind)
    _, header = next(rows)
    for line, row in rows:
        check_width(row, header, f"{path}:{line}")


def check_opening(path: Path) -> None:
    """Refuses JSON that does not begin with an object or a list; pyarrow dies of a `null` there.

    Raises:
        UsageError: Naming the line.
    """
    with open_bytes(path) as stream:
        first = next((text for line in stream if (text := line.decode("utf-8-sig").strip())), "")
    if not first.startswith(("{", "[")):
        check_json(path)


def check_json(path: Path) -> None:
    """Refuses the first line that is no object; of a file that is one list, its first row that is none.

    Raises:
        UsageError: Naming the line or the row.
    """
    rows = 0
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, start=1):
            text = line.decode("utf-8-sig").strip()
            if not rows and text.startswith("["):
                _check_list(path)
                return
            if text:
                rows += 1
                _check_object(text, f"{path}:{number}")
    if not rows:
        raise _no_rows(path)
    _check_alike(path)


def check_parquet(path: Path) -> None:
    """Refuses a file of no rows, or in which two columns have one name.

    Raises:
        UsageError: Naming the file.
    """
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet  # type: ignore[import-untyped]

    try:
        file = parquet.ParquetFile(path)
    except (pa.ArrowException, OSError):
        return
    if not file.metadata.num_rows:
        raise _no_rows(path)
    names = file.schema_arrow.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two columns are named '{twice}'", where=str(path), cure="rename or remove one")


def _check_alike(path: Path) -> None:
    """Refuses the first row whose values are of another type than those by which the reader settled its columns."""
    kinds: defaultdict[str, set[type]] = defaultdict(set)
    read = 0
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, start=1):
            row = json.loads(line) if line.strip() else {}
            for key, value in row.items():
                if value is None:
                    continue
                if read > _SETTLED:
                    _check_kind(key, type(value), kinds[key], f"{path}:{number}")
                kinds[key].add(type(value))
            read += len(line)


def _check_kind(key: str, kind: type, known: set[type], place: str) -> None:
    if not known:
        raise UsageError(
            f"'{key}' has its first value here, too late for its type to be told",
            where=place,
            cure="move the row to the top, or leave the key out",
        )
    # Text takes all, and numbers with a point take whole ones.
    if str not in known and kind not in known and not (kind is int and float in known):
        raise UsageError(
            f"'{key}' is {_KINDS[kind]} here and {_KINDS[next(iter(known))]} before",
            where=place,
            cure="give it the same type in every row",
        )


def _check_list(path: Path) -> None:
    rows = read_json(path, "give one list of objects, or an object a line")
    if not rows:
        raise _no_rows(path)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise UsageError("it is no JSON object", where=f"{path}: row {number}", cure=_OBJECTS)


def _check_object(text: str, place: str) -> None:
    try:
        row = json.loads(text, object_pairs_hook=_keys_once)
    except ValueError as error:
        told = getattr(error, "msg", error)
        raise UsageError(
            f"not valid JSON ({told})", where=place, cure="give one object a line, each with the same keys"
        ) from None
    if not isinstance(row, dict):
        raise UsageError("the line is no JSON object", where=place, cure=_OBJECTS)
    if not is_whole(json.dumps(row, ensure_ascii=False)):
        raise UsageError("a text has half of a surrogate pair", where=place, cure="mend or remove the row")


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_rows(path: Path) -> UsageError:
    return UsageError("the file has no rows", where=str(path), cure="name a file with rows")
