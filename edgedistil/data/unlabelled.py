"""Plain text to a token set: more in-domain examples for the teacher to label, or text for general distillation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from edgedistil.bench.runner.evaluation import NOT_SCORED, EvaluationSet
from edgedistil.data.asking import Question, ask
from edgedistil.data.judged import Judged
from edgedistil.data.plain_text import read_pairs, read_texts
from edgedistil.data.tokens import TokenWriter, load_tokeniser, open_tokens
from edgedistil.errors import UsageError
from edgedistil.hashing import example_id
from edgedistil.progress import Progress, SilentProgress
from edgedistil.tasks.encoding import Input, check_pairs, encode_rows, encode_windows
from edgedistil.tasks.question_answering import span_tokens
from edgedistil.tasks.token_classification import offsets_of

_BATCH = 512
# A word is one to two pieces: a question of so many words leaves most of a row to its context.
_WORDS_A_QUESTION = 8


def load_unlabelled(  # noqa: PLR0913 - as many as a recipe says of its text
    path: Path,
    tokeniser_folder: Path,
    folder: Path,
    max_length: int,
    *,
    kind: str = "class",
    column: str = "text",
    pair: str | None = None,
    pack: bool = False,
    limit: int | None = None,
    judged: Judged | None = None,
    progress: Progress | None = None,
) -> EvaluationSet:
    """Tokenises a file of texts, or of pairs, as it is read; empty ones are passed over.

    Labels say that there are none: -1 of kind class, NaN of kind value, -100 a token of kind tags, twice -100 of kind
    span. Rows of that kind are pairs of a question and its passage. Of a text, or a passage without a question, they
    are made by `ask`: the answers that it knows are then their labels, and one that nothing can be asked about is
    passed over.

    Args:
        path: `.txt` (a text a line), `.jsonl` or `.jsonl.gz`, `.tsv`, `.csv` or `.parquet`.
        tokeniser_folder: Folder with the teacher's `tokenizer.json`.
        folder: Where to write; read again with `open_tokens`.
        max_length: Longest row in tokens, special ones included.
        kind: Kind of the set: that of the task whose examples are added to.
        column: Key or column that holds the text, where the file has several.
        pair: Key or column that holds the second text of each pair; None for texts that stand alone.
        pack: Split a text that is too long into rows of `max_length` tokens, rather than cut it.
        limit: Texts or pairs to read; None for all.
        judged: Leaves out, and counts, those that are judged; None leaves out none.
        progress: Where the bar is shown.

    Returns:
        The set, memory-mapped.

    Raises:
        UsageError: For a file that cannot be read, is of no known kind, or has no text; by its line. For a pair with
            a missing side, or a tokeniser that takes no pairs.
    """
    tokeniser = load_tokeniser(tokeniser_folder, max_length)
    if pair:
        check_pairs(tokeniser, str(tokeniser_folder))
    judged = judged or Judged()
    some = judged.without(islice(_inputs(path, column, pair, alone=kind == "span"), limit))
    written = 0
    with TokenWriter(folder, kind) as writer, (progress or SilentProgress()).bar("reading texts", limit or 0) as bar:
        while part := list(islice(some, _BATCH)):
            written += _write_part(writer, tokeniser, part, kind, max_length, pack=pack)
            bar.advance(len(part))
        if not written:
            raise UsageError(
                f"no text in it{' that one could ask about' if kind == 'span' else ''}"
                f"{f', but {judged.repeated} that repeat a dev or test text' if judged.repeated else ''}",
                where=str(path),
                cure="name a file with text",
            )
    return open_tokens(folder)


def _inputs(path: Path, column: str, pair: str | None, *, alone: bool) -> Iterator[Input]:
    if pair:
        yield from read_pairs(path, (column, pair), alone=alone)
    else:
        yield from (text for text in read_texts(path, column) if text.strip())


def _write_part(
    writer: TokenWriter, tokeniser: Tokenizer, part: Sequence[Input], kind: str, max_length: int, *, pack: bool
) -> int:
    """Writes some texts or pairs; returns the number of rows that they gave."""
    if kind != "span":
        return _write(writer, encode_rows(tokeniser, part, max_length), part, kind, pack=pack)
    asked = [question for row in part for question in _asked(tokeniser, row, max_length)]
    if not asked:
        return 0
    pairs = [(question.text, question.passage) for question in asked]
    windows = encode_windows(tokeniser, pairs, max_length, 0, [question.text for question in asked])
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


def _asked(tokeniser: Tokenizer, row: Input, max_length: int) -> list[Question]:
    """Returns a row's own question; or those that its passage asks, without any that takes most of a row."""
    question, passage = ("", row) if isinstance(row, str) else row
    if question.strip():
        return [Question(question, passage)]
    tokeniser.no_truncation()
    made = ask(passage, max_length // _WORDS_A_QUESTION)
    sizes = [len(encoding.ids) for encoding in tokeniser.encode_batch([each.text for each in made])]
    return [each for each, size in zip(made, sizes, strict=True) if size <= max_length // 2]


def _span(question: Question, starts: Sequence[int], ends: Sequence[int]) -> tuple[int, int]:
    """Returns the first and last token of a question's answer; that there is none where the row does not hold it."""
    found = span_tokens(question.answer, starts, ends) if question.answer else None
    return found or (NOT_SCORED, NOT_SCORED)


def _write(writer: TokenWriter, encodings: list[Encoding], part: Sequence[Input], kind: str, *, pack: bool) -> int:
    rows: list[tuple[str, Encoding]] = []
    for row, encoding in zip(part, encodings, strict=True):
        name = example_id(row if isinstance(row, str) else "\t".join(row))
        rows += [(name, window) for window in ([encoding, *encoding.overflowing] if pack else [encoding])]
    starts = ends = None
    if kind == "tags":
        places = [offsets_of(encoding, 0) for _, encoding in rows]
        starts, ends = [start for start, _ in places], [end for _, end in places]
    labels = [_no_label(kind, len(encoding.ids)) for _, encoding in rows]
    writer.write([encoding.ids for _, encoding in rows], labels, [name for name, _ in rows], starts, ends)
    return len(rows)


def _no_label(kind: str, tokens: int) -> Any:
    return {"class": -1, "value": math.nan, "tags": np.full(tokens, NOT_SCORED)}[kind]
