"""Plain text to a token set: more in-domain examples for the teacher to label, or text for general distillation."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from edgedistil.bench.runner.evaluation import NOT_SCORED, EvaluationSet
from edgedistil.data.sources.base import choose_column
from edgedistil.data.sources.files import check_text_file, kind_of, open_bytes
from edgedistil.data.tokens import TokenWriter, load_tokeniser, open_tokens
from edgedistil.errors import UsageError
from edgedistil.hashing import example_id
from edgedistil.progress import Progress, SilentProgress
from edgedistil.tasks.token_classification import offsets_of

_BATCH = 512


def load_unlabelled(
    path: Path,
    tokeniser_folder: Path,
    folder: Path,
    max_length: int,
    *,
    kind: str = "class",
    column: str = "text",
    pack: bool = False,
    limit: int | None = None,
    progress: Progress | None = None,
) -> EvaluationSet:
    """Tokenises a file of texts as it is read; empty texts are passed over.

    Labels say that there are none: -1 of kind class, NaN of kind value, -100 a token of kind tags.

    Args:
        path: `.txt` (a text a line), `.jsonl` or `.jsonl.gz`, `.tsv`, `.csv` or `.parquet`.
        tokeniser_folder: Folder with the teacher's `tokenizer.json`.
        folder: Where to write; read again with `open_tokens`.
        max_length: Longest row in tokens, special ones included.
        kind: Kind of the set: that of the task whose examples are added to.
        column: Key or column that holds the text, where the file has several.
        pack: Split a text that is too long into rows of `max_length` tokens, rather than cut it.
        limit: Texts to read; None for all.
        progress: Where the bar is shown.

    Returns:
        The set, memory-mapped.

    Raises:
        UsageError: For a file that cannot be read, is of no known kind, or has no text; by its line.
    """
    if kind == "span":
        raise UsageError(
            "unlabelled text has no questions", where=str(path), cure="leave it out for question-answering"
        )
    tokeniser = load_tokeniser(tokeniser_folder, max_length)
    texts = islice((text for text in read_texts(path, column) if text.strip()), limit)
    written = 0
    with TokenWriter(folder, kind) as writer, (progress or SilentProgress()).bar("reading texts", limit or 0) as bar:
        while part := list(islice(texts, _BATCH)):
            _write(writer, tokeniser, part, kind, pack=pack)
            written += len(part)
            bar.advance(len(part))
        if not written:
            raise UsageError("no text in it", where=str(path), cure="name a file with text")
    return open_tokens(folder)


def read_texts(path: Path, column: str) -> Iterator[str]:
    """Yields a file's texts as they are read.

    Raises:
        UsageError: For a file that cannot be read, by its line.
    """
    if not path.is_file():
        raise UsageError("no such file", where=str(path), cure="correct the path of the unlabelled text")
    kind = kind_of(path)
    if kind is None:
        raise UsageError(
            f"unknown kind of file '{path.suffix}'",
            where=str(path),
            cure="use .txt, .jsonl, .jsonl.gz, .tsv, .csv or .parquet",
        )
    if kind == "parquet":
        yield from _parquet_texts(path, column)
        return
    check_text_file(path)
    if kind == "lines":
        with path.open(encoding="utf-8-sig", newline="\n") as stream:
            yield from (line.rstrip("\r\n") for line in stream)
    elif kind == "json":
        yield from _json_texts(path, column)
    else:
        yield from _table_texts(path, column, "\t" if kind == "tsv" else ",")


def _json_texts(path: Path, column: str) -> Iterator[str]:
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UsageError(
                    f"not valid JSON ({error})", where=f"{path}:{number}", cure="give one object a line"
                ) from None
            text = row.get(column) if isinstance(row, dict) else None
            if not isinstance(text, str):
                raise UsageError(
                    f"has no text under the key '{column}'", where=f"{path}:{number}", cure="correct the row or the key"
                )
            yield text


def _table_texts(path: Path, column: str, separator: str) -> Iterator[str]:
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(
            stream, delimiter=separator, quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
        )
        header = next(rows, [])
        place = header.index(choose_column(header, column, "the column of text", path))
        try:
            for row in rows:
                if len(row) <= place and row:
                    raise UsageError(
                        f"the row has {len(row)} columns, the header {len(header)}",
                        where=f"{path}:{rows.line_num}",
                        cure="complete the row or remove it",
                    )
                if row:
                    yield row[place]
        except csv.Error as error:
            raise UsageError(
                f"cannot read the row ({error})", where=f"{path}:{rows.line_num}", cure="check its quotes"
            ) from None


def _parquet_texts(path: Path, column: str) -> Iterator[str]:
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet  # type: ignore[import-untyped]

    try:
        file = parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"cannot read it as parquet ({error})", where=str(path), cure="copy it again") from None
    name = choose_column(list(file.schema_arrow.names), column, "the column of text", path)
    for batch in file.iter_batches(batch_size=_BATCH, columns=[name]):
        yield from ("" if value is None else str(value) for value in batch.column(0).to_pylist())


def _write(writer: TokenWriter, tokeniser: Tokenizer, texts: list[str], kind: str, *, pack: bool) -> None:
    rows: list[tuple[str, Encoding]] = []
    for text, encoding in zip(texts, tokeniser.encode_batch(texts), strict=True):
        name = example_id(text)
        rows += [(name, part) for part in ([encoding, *encoding.overflowing] if pack else [encoding])]
    starts = ends = None
    if kind == "tags":
        places = [offsets_of(encoding, 0) for _, encoding in rows]
        starts, ends = [start for start, _ in places], [end for _, end in places]
    labels = [_no_label(kind, len(encoding.ids)) for _, encoding in rows]
    writer.write([encoding.ids for _, encoding in rows], labels, [name for name, _ in rows], starts, ends)


def _no_label(kind: str, tokens: int) -> Any:
    return {"class": -1, "value": math.nan, "tags": np.full(tokens, NOT_SCORED)}[kind]
