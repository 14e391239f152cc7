"""A text a line beside a label a line, as TweetEval has them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistil.data.sources.arrow import arrow_table
from edgedistil.errors import UsageError
from edgedistil.hashing import hash_files

if TYPE_CHECKING:
    import datasets

_RULE = 1


def read_lines(texts: Path, labels: Path, cache: Path) -> datasets.Dataset:
    """Returns a table with the columns text and label.

    Raises:
        UsageError: When one file has more lines than the other.
    """
    import pyarrow as pa  # type: ignore[import-untyped]

    schema = pa.schema([("text", pa.string()), ("label", pa.string())])
    name = f"lines-{_RULE}-{hash_files({'texts': texts, 'labels': labels})}.arrow"
    return arrow_table(_rows(texts, labels), schema, cache / name)


def _rows(texts: Path, labels: Path) -> Iterator[dict[str, str]]:
    with (
        texts.open(encoding="utf-8-sig", newline="\n") as left,
        labels.open(encoding="utf-8-sig", newline="\n") as right,
    ):
        for number, (text, label) in enumerate(zip_longest(left, right), start=1):
            if text is None or label is None:
                short, long = (texts, labels) if text is None else (labels, texts)
                raise UsageError(
                    f"has {number - 1} lines and {long.name} more", where=str(short), cure="give every text one label"
                )
            yield {"text": text.rstrip("\r\n"), "label": label.strip()}
