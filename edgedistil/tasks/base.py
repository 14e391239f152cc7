"""What a task is: how rows are read, tokens labelled, outputs understood and scored. Torch-free: a device scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.runner.scoring import Output
from edgedistil.errors import UsageError
from edgedistil.hashing import example_id
from edgedistil.recipe.schema import Data
from edgedistil.tasks.answers import Answers

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]

Prediction = Any
"""JSON. By kind: class, its number; value, a score; tags, a list of [start, end, label]; span, the answer's text."""

Reference = Any
"""JSON, as `Prediction`; for the kind span a list of right answers."""


@dataclass(frozen=True)
class Column:
    """A column that a task reads.

    Attributes:
        name: What the task calls it.
        wanted: Its name in the data; of several, the first that the data has.
        key: The recipe's key that names it.
    """

    name: str
    wanted: str | list[str]
    key: str


@dataclass(frozen=True)
class Example:
    """One row of the data, read and checked.

    Attributes:
        first: The text, or the first of two, or the question.
        second: The second text, or the context.
        target: What is to be learnt, in the task's own form.
        reference: What a prediction is held against.
        text: What character offsets count in.
        value: A number by which a split is checked and stratified: the class, the score, how many spans there are.
    """

    first: str
    second: str | None
    target: Any
    reference: Reference
    value: float = 0.0

    @property
    def name(self) -> str:
        """Returns the example's id, a hash of its texts."""
        return example_id(self.first) if self.second is None else example_id(self.first, self.second)

    @property
    def input(self) -> str | tuple[str, str]:
        """Returns what a tokeniser takes."""
        return self.first if self.second is None else (self.first, self.second)


@dataclass(frozen=True)
class Labelled:
    """What one tokenised row is labelled with.

    Attributes:
        label: By kind: class, int; value, float; tags, one int a token; span, (first token, last token).
        starts: For tags and span: where each token begins in the example's text, -1 for a token outside it.
        ends: As `starts`: where each token ends, exclusive.
    """

    label: Any
    starts: list[int] | None = None
    ends: list[int] | None = None


Place = Callable[[int], str]
"""Tells how an error names a row, by its number in the rows at hand, from 0."""

Read = Callable[[str], Iterable[Any]]
"""Gives a column of the training split, by the task's name for it, value by value."""


class Task(Protocol):
    """One kind of question put to a text.

    Attributes:
        name: As recipes and manifests name it.
        metric: The headline metric, first of `metrics`.
        kind: What a row's label is: `class`, `value`, `tags` or `span`.
        windows: Whether a text that is too long becomes several rows, rather than one that is cut.
    """

    name: str
    metric: str
    kind: str
    windows: bool

    def columns(self, data: Data) -> list[Column]:
        """Returns the columns to read."""

    def choose_labels(self, data: Data, read: Read, where: str) -> list[str]:
        """Returns the names of the model's outputs, in order: the recipe's, or those found in the training split."""

    def examples(self, rows: Mapping[str, Sequence[Any]], labels: Sequence[str], place: Place) -> list[Example]:
        """Reads rows, refusing the first that cannot be used, by its number."""

    def check(self, values: FloatArray, labels: Sequence[str], where: str) -> None:
        """Refuses a split, given its examples' `value`s, on which the metric would mean nothing."""

    def strata(self, values: FloatArray) -> IntArray:
        """Returns the groups, by number, of which a split set aside gets equal shares."""

    def guarded(self, example: Example) -> str:
        """Returns the id of the text that must not be both trained on and judged."""

    def label(self, example: Example, encoding: Encoding, labels: Sequence[str]) -> Labelled:
        """Returns what one tokenised row of an example is labelled with."""

    def predictions(
        self, outputs: Sequence[Output], tokens: EvaluationSet, answers: Answers | None, labels: Sequence[str]
    ) -> dict[str, Prediction]:
        """Returns every example's prediction, by its id, from the rows' outputs."""

    def references(self, tokens: EvaluationSet, answers: Answers | None, labels: Sequence[str]) -> dict[str, Reference]:
        """Returns what every example's prediction is held against, by its id."""

    def statistics(self, predictions: Sequence[Prediction], references: Sequence[Reference]) -> FloatArray:
        """Returns float64 [examples, k] whose sum over examples is all that `metrics` needs."""

    def metrics(self, sums: FloatArray) -> dict[str, FloatArray]:
        """Returns each metric, the headline first, [...] for summed statistics [..., k]."""


def pair_column(task: Task, data: Data) -> Column | None:
    """Returns the column of each row's second text, named by the recipe or by default; None where a row has one."""
    return next((column for column in task.columns(data) if column.name == "pair"), None)


def score(task: Task, predictions: Sequence[Prediction], references: Sequence[Reference]) -> float:
    """Returns the headline metric."""
    return float(all_scores(task, predictions, references)[task.metric])


def all_scores(task: Task, predictions: Sequence[Prediction], references: Sequence[Reference]) -> dict[str, float]:
    """Returns every metric, the headline first."""
    sums = task.statistics(predictions, references).sum(axis=0)
    return {name: float(value) for name, value in task.metrics(sums).items()}


def need_answers(answers: Answers | None) -> Answers:
    """Returns the answers of a task that cannot do without.

    Raises:
        UsageError: When there are none.
    """
    if answers is None:
        raise UsageError("the evaluation set comes without its answers", cure="export the bundle again")
    return answers


def texts(rows: Mapping[str, Sequence[Any]], column: str, what: str, place: Place) -> list[str]:
    """Returns a column's texts, none of them empty.

    Raises:
        UsageError: Naming the first row without one, or with several.
    """
    for row, value in enumerate(rows[column]):
        if isinstance(value, (list, dict, bytes)):
            raise UsageError(
                f"the {what} {value!r:.60} is no single text",
                where=place(row),
                cure="give each row one text, as a string; does the recipe name the right column?",
            )
        if value is None or not str(value).strip():
            raise UsageError(f"the {what} is empty", where=place(row), cure="fill the row or remove it")
    return [str(value) for value in rows[column]]


def ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Returns a quotient, 0 where nothing is divided by nothing."""
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    return np.divide(above, below, out=np.zeros(np.broadcast_shapes(above.shape, below.shape)), where=below != 0)
