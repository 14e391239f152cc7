"""Extractive question answering: the piece of a context that answers a question, as in SQuAD v1.1."""

from __future__ import annotations

import json
import math
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.runner.scoring import Output
from edgedistil.errors import UsageError
from edgedistil.hashing import example_id
from edgedistil.recipe.schema import Data
from edgedistil.tasks.answers import Answers
from edgedistil.tasks.base import (
    Column,
    Example,
    FloatArray,
    IntArray,
    Labelled,
    Place,
    Prediction,
    Read,
    Reference,
    need_answers,
    ratio,
    texts,
)
from edgedistil.tasks.token_classification import offsets_of

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


class QuestionAnswering:
    """A question and a context a row; long contexts become several rows that overlap."""

    name = "question-answering"
    metric = "F1"
    kind = "span"
    windows = True

    def columns(self, data: Data) -> list[Column]:
        """Returns question, context and answers."""
        return [
            Column("question", data.question, "data.question"),
            Column("context", data.context, "data.context"),
            Column("answers", data.answers, "data.answers"),
        ]

    def choose_labels(self, data: Data, read: Read, where: str) -> list[str]:
        """Returns the names of the two outputs a token.

        Raises:
            UsageError: When the recipe names labels.
        """
        del read
        if data.labels:
            raise UsageError("data.labels has no meaning for question-answering", where=where, cure="leave it out")
        return ["start", "end"]

    def examples(self, rows: Mapping[str, Sequence[Any]], labels: Sequence[str], place: Place) -> list[Example]:
        """Reads rows of question, context and answers.

        Raises:
            UsageError: For an empty question or context, no answer, or one that is not in its context at its offset.
        """
        del labels
        questions = texts(rows, "question", "question", place)
        contexts = texts(rows, "context", "context", place)
        found = []
        for row, (question, context, value) in enumerate(zip(questions, contexts, rows["answers"], strict=True)):
            answers = _read_answers(value, place(row))
            for answer, start in answers:
                _check_answer(answer, start, context, place(row))
            first, start = answers[0]
            begin = start + len(first) - len(first.lstrip())
            target = (begin, begin + len(first.strip()))
            found.append(Example(question, context, target, [answer for answer, _ in answers], 1.0))
        return found

    def check(self, values: FloatArray, labels: Sequence[str], where: str) -> None:
        """Checks that there is a question.

        Raises:
            UsageError: When there is none.
        """
        del labels
        if not len(values):
            raise UsageError("there are no questions", where=where, cure="name a file with questions")

    def strata(self, values: FloatArray) -> IntArray:
        """Returns one group: questions are of one kind."""
        return np.zeros(len(values), dtype=np.int64)

    def guarded(self, example: Example) -> str:
        """Returns the context's id: no question is judged on a context that was trained on."""
        return example_id(str(example.second))

    def label(self, example: Example, encoding: Encoding, labels: Sequence[str]) -> Labelled:
        """Returns the answer's first and last token in this window, (0, 0) where it is not whole in it."""
        del labels
        starts, ends = offsets_of(encoding, 1)
        return Labelled(span_tokens(example.target, starts, ends) or (0, 0), starts, ends)

    def predictions(
        self, outputs: Sequence[Output], tokens: EvaluationSet, answers: Answers | None, labels: Sequence[str]
    ) -> dict[str, Prediction]:
        """Returns each question's best answer over its windows.

        Raises:
            UsageError: When the answers, which hold the contexts, are missing.
        """
        del labels
        known = need_answers(answers)
        best: dict[str, tuple[float, str]] = {}
        for index, (first, last, score) in enumerate(outputs):
            name, where = str(tokens.ids[index]), tokens.slice(index)
            assert tokens.starts is not None and tokens.ends is not None  # noqa: S101, PT018 - the set has seen to it
            if name not in best or score > best[name][0]:
                text = known[name].text[int(tokens.starts[where][first]) : int(tokens.ends[where][last])]
                best[name] = (score, text)
        return {name: text for name, (_, text) in best.items()}

    def references(self, tokens: EvaluationSet, answers: Answers | None, labels: Sequence[str]) -> dict[str, Reference]:
        """Returns each question's right answers.

        Raises:
            UsageError: When the answers are missing.
        """
        del labels
        known = need_answers(answers)
        return {str(name): known[str(name)].reference for name in tokens.ids}

    def statistics(self, predictions: Sequence[Prediction], references: Sequence[Reference]) -> FloatArray:
        """Returns (F1, exact match, 1) an example, the best over its right answers, as SQuAD v1.1's script does."""
        rows = np.ones((len(predictions), 3))
        for row, (predicted, right) in enumerate(zip(predictions, references, strict=True)):
            rows[row, 0] = max(word_f1(predicted, answer) for answer in right)
            rows[row, 1] = max(float(normalise(predicted) == normalise(answer)) for answer in right)
        return rows

    def metrics(self, sums: FloatArray) -> dict[str, FloatArray]:
        """Returns the means of F1 and exact match."""
        return {"F1": ratio(sums[..., 0], sums[..., 2]), "EM": ratio(sums[..., 1], sums[..., 2])}


def span_tokens(target: tuple[int, int], starts: Sequence[int], ends: Sequence[int]) -> tuple[int, int] | None:
    """Returns the first and last token of a piece of a context; None where it is not whole in the row.

    Args:
        target: The piece's first character and the one behind its last.
        starts: Where each token of the row begins in the context; -1 for one outside it.
        ends: Where each ends, exclusive.
    """
    begin, end = target
    inside = [index for index, start in enumerate(starts) if start >= 0]
    first = next((index for index in inside if ends[index] > begin), None)
    last = next((index for index in reversed(inside) if starts[index] < end), None)
    whole = bool(inside) and starts[inside[0]] <= begin and ends[inside[-1]] >= end
    if not whole or first is None or last is None or last < first:
        return None
    return first, last


def normalise(answer: str) -> str:
    """Returns an answer in lower case, without punctuation, articles and superfluous white space (SQuAD v1.1)."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def word_f1(predicted: str, right: str) -> float:
    """Returns the F1 of the bags of words of two normalised answers (SQuAD v1.1)."""
    one, two = normalise(predicted).split(), normalise(right).split()
    same = sum((Counter(one) & Counter(two)).values())
    return 2 * same / (len(one) + len(two)) if same else 0.0


def answer_start(value: Any) -> int:
    """Returns the character at which an answer begins, as data gives it: a whole number, whatever its type.

    Raises:
        ValueError: When it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not number.is_integer() or abs(number) >= 2**53:
        raise ValueError(f"answer_start is {value!r:.60}, which is no character's number")
    return int(number)


def _read_answers(value: Any, where: str) -> list[tuple[str, int]]:
    """Returns the answers of a row, which are `{text: [], answer_start: []}` or a list of `{text, answer_start}`.

    In a column of text, such as that of a CSV, they are JSON.
    """
    try:
        given = json.loads(value) if isinstance(value, str) and value else value
        if isinstance(given, Mapping):
            pairs = list(zip(given["text"], given["answer_start"], strict=True))
        else:
            pairs = [(answer["text"], answer["answer_start"]) for answer in given or []]
        if not all(isinstance(text, str) for text, _ in pairs):
            raise TypeError
        found = [(text, answer_start(start)) for text, start in pairs]
    except (TypeError, KeyError, ValueError):
        raise UsageError(
            f"the answers {value!r:.60} cannot be read",
            where=where,
            cure='give them as {"text": ["Paris"], "answer_start": [17]}',
        ) from None
    if not found or not all(text.strip() for text, _ in found):
        raise UsageError(
            "the question has no answer",
            where=where,
            cure="remove it: only questions with an answer are learnt (SQuAD v1.1)",
        )
    return found


def _check_answer(answer: str, start: int, context: str, where: str) -> None:
    if start >= 0 and context[start : start + len(answer)] == answer:
        return
    place = context.find(answer)
    cure = f"it stands at {place}: correct answer_start" if place >= 0 else "correct the answer or remove the row"
    raise UsageError(f"the answer '{answer[:40]}' is not at character {start} of its context", where=where, cure=cure)
