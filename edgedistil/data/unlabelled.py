"""Plain text to a token set: more in-domain examples for the teacher to label, or text for general distillation."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from edgedistil.bench.runner.evaluation import NOT_SCORED, EvaluationSet
from edgedistil.data.asking import Question, ask
from edgedistil.data.sources.base import choose_column
from edgedistil.data.sources.files import check_text_file, kind_of, open_bytes
from edgedistil.data.tokens import TokenWriter, load_tokeniser, open_tokens
from edgedistil.errors import UsageError
from edgedistil.hashing import example_id
from edgedistil.progress import Progress, SilentProgress
from edgedistil.tasks.encoding import encode_windows
from edgedistil.tasks.question_answering import span_tokens
from edgedistil.tasks.token_classification import offsets_of

_BATCH = 512
# A word is one to two pieces: a question of so many words leaves most of a row to its context.
_WORDS_A_QUESTION = 8


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

    Labels say that there are none: -1 of kind class, NaN of kind value, -100 a token of kind tags. Rows of kind span
    are made of a text by `ask`: the answers that it knows are their labels, twice -100 stands for one that it does not;
    a text that nothing can be asked about is passed over.

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
    tokeniser = load_tokeniser(tokeniser_folder, max_length)
    texts = islice((text for text in read_texts(path, column) if text.strip()), limit)
    written = 0
    with TokenWriter(folder, kind) as writer, (progress or SilentProgress()).bar("reading texts", limit or 0) as bar:
        while part := list(islice(texts, _BATCH)):
            written += (
                _write_asked(writer, tokeniser, part)
                if kind == "span"
                else _write(writer, tokeniser, part, kind, pack=pack)
            )
            bar.advance(len(part))
        if not written:
            raise UsageError(
                "no text in it" if kind != "span" else "no text in it that one could ask about",
                where=str(path),
                cure="name a file with text",
            )
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


def _write_asked(writer: TokenWriter, tokeniser: Tokenizer, texts: list[str]) -> int:
    """Writes texts as questions and contexts, the first window of each; returns their number."""
    longest = int(tokeniser.truncation["max_length"])
    asked = [question for text in texts for question in ask(text, longest // _WORDS_A_QUESTION)]
    if not asked:
        return 0
    tokeniser.no_truncation()
    sizes = [len(encoding.ids) for encoding in tokeniser.encode_batch([question.text for question in asked])]
    asked = [question for question, size in zip(asked, sizes, strict=True) if size <= longest // 2]
    pairs = [(question.text, question.passage) for question in asked]
    windows = encode_windows(tokeniser, pairs, longest, 0, [question.text for question in asked])
    tokeniser.enable_truncation(longest)
    rows = [first for first, *_ in windows]
    places = [offsets_of(row, 1) for row in rows]
    writer.write(
        [row.ids for row in rows],
        np.array([_span(question, *place) for question, place in zip(asked, places, strict=True)]).reshape(-1, 2),
        [example_id(f"{question.text}\t{question.passage}") for question in asked],
        [start for start, _ in places],
        [end for _, end in places],
    )
    return len(rows)


def _span(question: Question, starts: Sequence[int], ends: Sequence[int]) -> tuple[int, int]:
    """Returns the first and last token of a question's answer; that there is none where the row does not hold it."""
    found = span_tokens(question.answer, starts, ends) if question.answer else None
    return found or (NOT_SCORED, NOT_SCORED)


def _write(writer: TokenWriter, tokeniser: Tokenizer, texts: list[str], kind: str, *, pack: bool) -> int:
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
    return len(rows)


def _no_label(kind: str, tokens: int) -> Any:
    return {"class": -1, "value": math.nan, "tags": np.full(tokens, NOT_SCORED)}[kind]
