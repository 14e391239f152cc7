"""Unlabelled texts that are judged: a student that followed the teacher over them would be scored on what it saw."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from edgedistil.data.tokens import open_tokens
from edgedistil.hashing import example_id
from edgedistil.tasks.answers import Answers
from edgedistil.tasks.encoding import Input


class Judged:
    """Leaves out the inputs that repeat a judged text, and counts them.

    Args:
        names: Ids of the judged texts, or pairs of texts.
        passages: Ids of the judged contexts, for pairs of a question and its context.

    Attributes:
        repeated: How many inputs have repeated one so far.
    """

    def __init__(self, names: Collection[str] = (), passages: Collection[str] = ()) -> None:
        self._names = frozenset(names)
        self._passages = frozenset(passages)
        self.repeated = 0

    @classmethod
    def load(cls, folder: Path, kind: str) -> Judged:
        """Returns those of a finished data stage.

        Args:
            folder: Of the stage.
            kind: Kind of its sets.
        """
        splits = [folder / name for name in ("dev", "test") if (folder / name).is_dir()]
        if kind != "span":
            return cls([str(name) for split in splits for name in open_tokens(split).ids])
        answers = [Answers.load(split / "answers.jsonl") for split in splits]
        return cls(passages=[example_id(answer.text) for known in answers for answer in known.values()])

    def without(self, rows: Iterable[Input]) -> Iterator[Input]:
        """Yields the inputs that repeat none."""
        for row in rows:
            parts = row if isinstance(row, tuple) else (row,)
            if example_id(*parts) in self._names or example_id(parts[-1]) in self._passages:
                self.repeated += 1
            else:
                yield row
