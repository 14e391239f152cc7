"""What a judging split's examples should be answered with, for tasks whose answer is a piece of the text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedistil.errors import UsageError


@dataclass(frozen=True)
class Answer:
    """One example's text and its right answer.

    Attributes:
        text: What the set's character offsets count in.
        reference: As the task's references are: a list of [start, end, label], or of right answers.
    """

    text: str
    reference: Any


class Answers(Mapping[str, Answer]):
    """Every example's answer by its id.

    Args:
        answers: In the order of the split; of two with one id the first counts.
    """

    def __init__(self, answers: Iterable[tuple[str, Answer]]) -> None:
        self._answers: dict[str, Answer] = {}
        for name, answer in answers:
            self._answers.setdefault(name, answer)

    def __getitem__(self, name: str) -> Answer:
        return self._answers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    @classmethod
    def load(cls, path: Path) -> Answers:
        """Reads a JSON-lines file, `{"id", "text", "reference"}` a line.

        Raises:
            UsageError: When it is missing or a line is none of these.
        """
        found, number = [], 0
        try:
            with path.open(encoding="utf-8") as stream:
                for line in stream:
                    number += 1
                    row = json.loads(line)
                    found.append((str(row["id"]), Answer(str(row["text"]), row["reference"])))
        except OSError as error:
            raise UsageError(f"cannot read the answers ({error.strerror})", where=str(path)) from None
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"line {number} is no answer ({type(error).__name__}: {error})",
                where=str(path),
                cure="the file is damaged or cut short: make or copy it again",
            ) from None
        return cls(found)

    def save(self, path: Path) -> None:
        """Writes the file that `load` reads."""
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            for name, answer in self._answers.items():
                stream.write(answer_line(name, answer))


def answer_line(name: str, answer: Answer) -> str:
    """Returns one line of the file."""
    row = {"id": name, "text": answer.text, "reference": answer.reference}
    return json.dumps(row, ensure_ascii=False) + "\n"
