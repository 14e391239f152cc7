"""What a file makes of one input, by task: a label, a score, spans of the text, an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding

from edgedistil.bench.runner.scoring import best_span
from edgedistil.errors import EdgeDistilError
from edgedistil.tasks import get_task
from edgedistil.tasks.classes import Classes
from edgedistil.tasks.spans import has_begins
from edgedistil.tasks.token_classification import TokenClassification, offsets_of

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Prediction:
    """The class of a text or a pair.

    Attributes:
        label: The likeliest label.
        scores: Softmax of the logits, by label, summing to 1; not calibrated.
    """

    label: str
    scores: dict[str, float]

    def summary(self, text: str) -> str:
        """Returns the label, its share and the text, parted by tabs."""
        return f"{self.label}\t{self.scores[self.label]:.3f}\t{text}"


@dataclass(frozen=True)
class ScorePrediction:
    """The score of a text or a pair.

    Attributes:
        value: In the unit of the training scores.
    """

    value: float

    def summary(self, text: str) -> str:
        """Returns the score and the text, parted by a tab."""
        return f"{self.value:.3f}\t{text}"


@dataclass(frozen=True)
class SpanFound:
    """A piece of a text with a label.

    Attributes:
        start: Its first character in the text as it was given, from 0.
        end: One past its last character.
        label: What it is.
        text: The piece itself.
    """

    start: int
    end: int
    label: str
    text: str


@dataclass(frozen=True)
class SpansPrediction:
    """The labelled pieces of a text.

    Attributes:
        spans: In the order of the text.
    """

    spans: list[SpanFound]

    def summary(self, text: str) -> str:
        """Returns where the spans are, or `-`, and the text with each in brackets and its label after it."""
        marked, done = "", 0
        for span in self.spans:
            marked += f"{text[done : span.start]}[{span.text}]({span.label})"
            done = span.end
        places = ", ".join(f"{span.start}-{span.end} {span.label}" for span in self.spans)
        return f"{places or '-'}\t{marked}{text[done:]}"


@dataclass(frozen=True)
class AnswerPrediction:
    """The answer to a question.

    Attributes:
        answer: A piece of the context.
        start: Its first character in the context as it was given, from 0.
        end: One past its last character.
        score: Sum of the logits of its first and last token, of the best window; no probability.
    """

    answer: str
    start: int
    end: int
    score: float

    def summary(self, text: str) -> str:
        """Returns the answer, where it stands, its score and the question, parted by tabs."""
        return f"{self.answer}\t{self.start}-{self.end}\t{self.score:.2f}\t{text}"


AnyPrediction = Prediction | ScorePrediction | SpansPrediction | AnswerPrediction


def as_json(found: AnyPrediction) -> dict[str, Any]:
    """Returns a prediction's fields."""
    return asdict(found)


def interpret(
    task_name: str,
    labels: Sequence[str],
    text: str,
    windows: Sequence[Encoding],
    logits: Sequence[FloatArray],
    where: str,
) -> AnyPrediction:
    """Turns a file's logits for one input into a prediction.

    Args:
        task_name: The bundle's task.
        labels: The bundle's labels.
        text: What character offsets count in: the text, or a question's context.
        windows: The input's tokens; more than one for a long context.
        logits: Of each window: [labels], [1], [tokens, tags] or [tokens, 2].
        where: The file, for an error.

    Raises:
        EdgeDistilError: When the logits are no finite numbers of that shape.
    """
    task = get_task(task_name, labels)
    for encoding, found in zip(windows, logits, strict=True):
        _check(task.kind, len(labels), len(encoding.ids), found, where)
    if isinstance(task, Classes):
        shares = task.probabilities(logits[0].astype(np.float64))
        scores = {label: float(share) for label, share in zip(labels, shares, strict=True)}
        return Prediction(labels[int(shares.argmax())], scores)
    if task.kind == "value":
        return ScorePrediction(float(logits[0].reshape(-1)[0]))
    if isinstance(task, TokenClassification):
        return _spans(task, labels, text, windows[0], logits[0])
    return _answer(text, windows, logits)


def _check(kind: str, labels: int, tokens: int, logits: FloatArray, where: str) -> None:
    shapes = {"class": (labels,), "value": (1,), "tags": (tokens, labels), "span": (tokens, 2)}
    if logits.shape != shapes[kind] or not np.isfinite(logits).all():
        wanted = " x ".join(map(str, shapes[kind]))
        raise EdgeDistilError(f"its answer is not {wanted} finite logits", where=where, cure="export the bundle again")


def _spans(
    task: TokenClassification, labels: Sequence[str], text: str, encoding: Encoding, logits: FloatArray
) -> SpansPrediction:
    starts, ends = offsets_of(encoding, 0)
    words = encoding.word_ids
    # Of a text that nobody has parted into words, the tokeniser's own words take the part of a data set's tokens.
    heads = [index == 0 or word != words[index - 1] for index, word in enumerate(words)] if has_begins(labels) else None
    found = task.read(logits.argmax(axis=-1).tolist(), starts, ends, labels, heads)
    return SpansPrediction([SpanFound(start, end, label, text[start:end]) for start, end, label in found])


def _answer(text: str, windows: Sequence[Encoding], logits: Sequence[FloatArray]) -> AnswerPrediction:
    best: AnswerPrediction | None = None
    for encoding, found in zip(windows, logits, strict=True):
        starts, ends = offsets_of(encoding, 1)
        first, last, score = best_span(found[:, 0], found[:, 1], np.array(starts) >= 0)
        if best is None or score > best.score:
            best = AnswerPrediction(text[starts[first] : ends[last]], starts[first], ends[last], score)
    assert best is not None  # noqa: S101 - an input has a window
    return best
