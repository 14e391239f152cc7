"""Examples to token sets on disk, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tokenizers import Encoding

from edgedistil.data.tokens import TokenWriter, load_tokeniser
from edgedistil.tasks import Task
from edgedistil.tasks.answers import Answer, answer_line
from edgedistil.tasks.base import Example
from edgedistil.tasks.encoding import check_pairs, encode_rows, encode_windows


@dataclass
class Tally:
    """What became of a split.

    Attributes:
        examples: Examples written.
        rows: Rows written: as many, or more where an example is several windows.
        cut: Rows that were cut.
    """

    examples: int = 0
    rows: int = 0
    cut: int = 0


class SplitTokeniser:
    """Writes splits with one tokeniser.

    Args:
        folder: Folder with the teacher's `tokenizer.json`.
        task: How rows are labelled.
        labels: Names of the model's outputs.
        max_length: Longest row in tokens.
        stride: Tokens that two windows of one long context share.

    Raises:
        UsageError: When the folder has no readable tokeniser.
    """

    def __init__(self, folder: Path, task: Task, labels: Sequence[str], max_length: int, stride: int) -> None:
        self._folder = folder
        self._tokeniser = load_tokeniser(folder, max_length)
        self._task = task
        self._labels = labels
        self._max_length = max_length
        self._stride = stride
        self._pairs_checked = False

    def write(
        self,
        batches: Iterable[tuple[list[Example], list[str]]],
        folder: Path,
        *,
        judged: bool,
        tick: Callable[[int], None],
    ) -> Tally:
        """Writes one split.

        Args:
            batches: Examples, and how an error names each.
            folder: Where to.
            judged: Whether predictions are to be held against its answers, which are then written too.
            tick: Told how many more examples are done.

        Raises:
            UsageError: When the tokeniser cannot take pairs, or a question leaves no room for its context.
        """
        tally = Tally()
        with ExitStack() as stack:
            writer = stack.enter_context(TokenWriter(folder, self._task.kind))
            answers: IO[str] | None = None
            if judged and self._task.kind in ("tags", "span"):
                answers = stack.enter_context((folder / "answers.jsonl").open("w", encoding="utf-8", newline="\n"))
            for examples, names in batches:
                windows = self._encode(examples, names)
                self._write_rows(writer, examples, windows)
                if answers is not None:
                    answers.writelines(_answer(example) for example in examples)
                tally.examples += len(examples)
                tally.rows += sum(map(len, windows))
                if not self._task.windows:
                    tally.cut += sum(bool(encoding.overflowing) for (encoding,) in windows)
                tick(len(examples))
        return tally

    def _encode(self, examples: list[Example], names: list[str]) -> list[list[Encoding]]:
        if not self._pairs_checked and examples[0].second is not None:
            check_pairs(self._tokeniser, str(self._folder))
            self._pairs_checked = True
        inputs = [example.input for example in examples]
        if self._task.windows:
            return encode_windows(self._tokeniser, inputs, self._max_length, self._stride, names)
        return [[encoding] for encoding in encode_rows(self._tokeniser, inputs, self._max_length)]

    def _write_rows(self, writer: TokenWriter, examples: list[Example], windows: list[list[Encoding]]) -> None:
        rows = [(example, encoding) for example, own in zip(examples, windows, strict=True) for encoding in own]
        labelled = [self._task.label(example, encoding, self._labels) for example, encoding in rows]
        placed = self._task.kind in ("tags", "span")
        writer.write(
            [encoding.ids for _, encoding in rows],
            [one.label for one in labelled],
            [example.name for example, _ in rows],
            [one.starts or [] for one in labelled] if placed else None,
            [one.ends or [] for one in labelled] if placed else None,
        )


def _answer(example: Example) -> str:
    text = example.first if example.second is None else example.second
    return answer_line(example.name, Answer(text, example.reference))
