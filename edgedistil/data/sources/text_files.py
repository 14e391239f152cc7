"""Text files line by line: whether they can be read, and on which line each row stands."""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from edgedistil.errors import UsageError

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_UNMARKED = {"utf-16le": 1, "utf-16be": 0}
"""Which of its first two bytes is 0 in each, if it begins with a Latin letter or a brace."""
_GZIP = b"\x1f\x8b"
_NO_TEXT = {_GZIP: "gzip", b"PK\x03\x04": "zip (as .xlsx is)", b"PAR1": "Parquet"}


def check_path(path: Path, missing: str) -> None:
    """Checks that a file is there and may be read.

    Args:
        path: The file.
        missing: What to do where it is not there.

    Raises:
        UsageError: When it is not, is a folder, or may not be read.
    """
    try:
        path.open("rb").close()
    except IsADirectoryError:
        raise UsageError("is a folder, not a file", where=str(path), cure="name the file in it") from None
    except FileNotFoundError:
        raise UsageError("no such data file", where=str(path), cure=missing) from None
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", where=str(path), cure="see to its rights") from None


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
    _check_opening(path)
    number, encoding = 0, ""
    try:
        with open_bytes(path) as stream:
            for line in stream:
                number += 1
                encoding = encoding or _encoding(line)
                if encoding in _UNMARKED:
                    # Its letters with zeros between them are UTF-8 as well.
                    raise _not_utf8(path, number, 0, encoding)
                line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, number, line[error.start], encoding) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageError(
            f"cannot be unpacked ({error})",
            where=f"{path}:{number + 1}",
            cure="it is damaged or cut short: copy it again",
        ) from None
    return number


def _check_opening(path: Path) -> None:
    """Refuses a file whose first bytes are of another kind than its name."""
    with path.open("rb") as stream:
        head = stream.read(4)
    if path.suffix == ".gz":
        if not head.startswith(_GZIP):
            raise UsageError("is not compressed", where=str(path), cure="leave .gz out of its name, or copy it again")
        return
    for mark, kind in _NO_TEXT.items():
        if head.startswith(mark):
            raise UsageError(
                f"is no text: it begins as {kind} does",
                where=str(path),
                cure="unpack it or save it as text, or give it the ending of its kind",
            )


def _encoding(line: bytes) -> str:
    """Returns what a text is in if it is not UTF-8, by its first line."""
    for mark, name in _MARKS.items():
        if line.startswith(mark):
            return name
    return next((name for name, zero in _UNMARKED.items() if line[zero : zero + 1] == b"\0"), "latin1")


def _not_utf8(path: Path, number: int, byte: int, encoding: str) -> UsageError:
    return UsageError(
        f"not UTF-8 (byte 0x{byte:02x})",
        where=f"{path}:{number}",
        cure=f"convert it, for example: iconv -f {encoding} -t utf-8 {path.name}",
    )


def table_rows(path: Path, kind: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows of a table as they stand, header and blank lines included, each with the line that it begins on.

    Args:
        path: The file.
        kind: `tsv`, whose quotes are text, or `csv`.

    Raises:
        UsageError: For quotes that cannot be read or are never closed, by their line.
    """
    csv.field_size_limit(1 << 30)  # a text may be longer than the 128 KiB that the module expects
    with path.open(encoding="utf-8-sig", newline="") as stream:
        held: list[str] = []
        lines = _holding(stream, held)
        rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if kind == "tsv" else csv.reader(lines)
        line = begun = 1
        last: list[str] = []
        try:
            for row in rows:
                begun, last = line, held.copy()
                held.clear()
                yield line, row
                line = rows.line_num + 1
        except csv.Error as error:
            raise UsageError(
                f"cannot read the row ({error})", where=f"{path}:{line}", cure="check its quotes"
            ) from None
    if kind == "csv" and not _closes(last):
        raise UsageError(
            "a quote in the row is never closed", where=f"{path}:{begun}", cure="close it, or double one that is text"
        )


def _holding(lines: Iterable[str], held: list[str]) -> Iterator[str]:
    for line in lines:
        held.append(line)
        yield line


def _closes(lines: list[str]) -> bool:
    """Tells whether the quotes of a row are closed: the module takes the end of the file for their end."""
    try:
        list(csv.reader(lines, strict=True))
    except csv.Error as error:
        return "unexpected end" not in str(error)
    return True


def read_json(path: Path, cure: str) -> Any:
    """Returns the one value that a JSON file holds.

    Raises:
        UsageError: With this cure, naming the line that is no JSON.
    """
    try:
        with open_bytes(path) as stream:
            return json.loads(stream.read().decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise UsageError(f"not valid JSON ({error.msg})", where=f"{path}:{error.lineno}", cure=cure) from None


def is_whole(text: str) -> bool:
    """Tells whether a text can be written; one that was cut within a character of two halves cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
