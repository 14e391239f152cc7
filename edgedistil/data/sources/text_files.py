"""Text files line by line: whether they can be read, and on which line each row stands."""

from __future__ import annotations

import codecs
import csv
import gzip
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt

from edgedistil.errors import UsageError


def open_bytes(path: Path) -> IO[bytes]:
    """Opens a file that may be compressed."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def check_text_file(path: Path) -> int:
    """Checks that a file has content and is UTF-8, line by line.

    Returns:
        The number of its lines.

    Raises:
        UsageError: Naming the file and the line.
    """
    if path.stat().st_size == 0:
        raise UsageError("the file is empty", where=str(path), cure="name a file with rows")
    number = 0
    try:
        with open_bytes(path) as stream:
            for line in stream:
                number += 1
                line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"not UTF-8 (byte 0x{line[error.start]:02x})",
            where=f"{path}:{number}",
            cure=f"convert it, for example: iconv -f {_encoding(line)} -t utf-8 {path.name}",
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageError(
            f"cannot be unpacked ({error})",
            where=f"{path}:{number + 1}",
            cure="it is damaged or cut short: copy it again",
        ) from None
    return number


def _encoding(line: bytes) -> str:
    return "utf-16" if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "latin1"


def table_rows(path: Path, kind: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows of a table as they stand, header and blank lines included, each with the line that it begins on.

    Args:
        path: The file.
        kind: `tsv`, whose quotes are text, or `csv`.

    Raises:
        UsageError: For quotes that cannot be read, by their line.
    """
    csv.field_size_limit(1 << 30)  # a text may be longer than the 128 KiB that the module expects
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE) if kind == "tsv" else csv.reader(stream)
        line = 1
        try:
            for row in rows:
                yield line, row
                line = rows.line_num + 1
        except csv.Error as error:
            raise UsageError(
                f"cannot read the row ({error})", where=f"{path}:{line}", cure="check its quotes"
            ) from None


class LineNumbers:
    """The line on which each row of a file begins, found when one is first asked for.

    Args:
        path: The file.
        kind: `tsv`, `csv` or `json`, with an object a line.
        rows: How many rows were read from it.
    """

    def __init__(self, path: Path, kind: str, rows: int) -> None:
        self._path = path
        self._kind = kind
        self._rows = rows

    def __call__(self, row: int) -> int | None:
        """Returns the line of a row, from 0; None where rows do not begin on lines of their own."""
        return int(self._lines[row]) if len(self._lines) == self._rows else None

    @cached_property
    def _lines(self) -> npt.NDArray[np.int64]:
        return np.fromiter(self._starts(), dtype=np.int64)

    def _starts(self) -> Iterator[int]:
        if self._kind == "json":
            with open_bytes(self._path) as stream:
                yield from (number for number, line in enumerate(stream, start=1) if line.strip())
            return
        rows = table_rows(self._path, self._kind)
        next(rows)
        yield from (line for line, row in rows if len(row) > 1 or "".join(row).strip())
