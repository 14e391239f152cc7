"""How well one file does its task: from the runner's outputs to predictions and a score with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgedistil.bench.bootstrap import FloatArray, bootstrap
from edgedistil.bench.measurement import Accuracy
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.stats import Bounds, wilson_interval
from edgedistil.bundle.read import Bundle
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.tasks import Task, get_task
from edgedistil.tasks.answers import Answers


@dataclass(frozen=True)
class Examples:
    """Where the examples lie that files are scored on, and how their outputs are to be understood.

    Attributes:
        tokens: An `EvaluationSet`'s `.npz`; all that a device needs of them.
        task: Name of the task.
        labels: The bundle's labels, in the order of the logits.
        answers: Texts and right answers (`.jsonl`), for tasks whose answer is a piece of the text.
    """

    tokens: Path
    task: str = "text-classification"
    labels: tuple[str, ...] = ()
    answers: Path | None = None

    @classmethod
    def of(cls, bundle: Bundle) -> Examples | None:
        """Returns a bundle's own evaluation set, or None when it was left out."""
        tokens = bundle.evaluation_path
        if tokens is None:
            return None
        return cls(tokens, bundle.manifest.task, tuple(bundle.manifest.labels), bundle.answers_path)


@dataclass(frozen=True)
class Scores:
    """What one file makes of the examples.

    Attributes:
        task: Name of the task.
        accuracy: The headline score; None where nothing was scored.
        predictions: By example id, as JSON.
        labels: References by example id, as JSON.
    """

    task: str = "text-classification"
    accuracy: Accuracy | None = None
    predictions: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)


class Scorer:
    """Examples read once, to score any number of files on.

    Args:
        examples: Where they lie.

    Raises:
        UsageError: When the task is unknown, or the set or its answers cannot be read.
    """

    def __init__(self, examples: Examples) -> None:
        self.examples = examples
        self._task = get_task(examples.task, examples.labels)
        try:
            self.tokens = EvaluationSet.load(examples.tokens)
        except RunnerError as error:
            raise UsageError(str(error), cure="export the bundle again") from error
        self._answers = Answers.load(examples.answers) if examples.answers else None
        self._references = self._task.references(self.tokens, self._answers, examples.labels)

    def score(self, answer: Mapping[str, Any], where: str) -> Scores:
        """Scores what the runner's `evaluate` has answered.

        Args:
            answer: `ids` [n] and `outputs` [n], in the set's order.
            where: The file, for an error.

        Raises:
            EdgeDistilError: When the answer is of other examples than these.
        """
        if list(answer["ids"]) != self.tokens.ids.tolist():
            raise EdgeDistilError(
                "it answered other examples than it was asked", where=where, cure="copy the evaluation set again"
            )
        predictions = self._task.predictions(answer["outputs"], self.tokens, self._answers, self.examples.labels)
        names = list(self._references)
        statistics = self._task.statistics(
            [predictions[name] for name in names], [self._references[name] for name in names]
        )
        return Scores(
            task=self._task.name,
            accuracy=accuracy_of(self._task, statistics),
            predictions={name: predictions[name] for name in names},
            labels=dict(self._references),
        )


class Scorers:
    """The bench's scorer, and those of cases with examples of their own, each read once.

    Args:
        examples: The bench's; None scores nothing.
    """

    def __init__(self, examples: Examples | None) -> None:
        self.usual = Scorer(examples) if examples else None
        self._known = {examples: self.usual}

    def of(self, examples: Examples | None) -> Scorer | None:
        """Returns the scorer of a case's own examples; the bench's for None, and None in a bench without.

        Raises:
            UsageError: As `Scorer`.
        """
        if examples is None or self.usual is None:
            return self.usual
        if examples not in self._known:
            self._known[examples] = Scorer(examples)
        return self._known[examples]

    def files(self, own: Iterable[Examples | None]) -> list[Path]:
        """Returns the evaluation sets that cases need, each once: the bench's, and those of their own."""
        scorers = [self.of(examples) for examples in own]
        return list(dict.fromkeys(scorer.examples.tokens for scorer in [self.usual, *scorers] if scorer))


def accuracy_of(task: Task, statistics: FloatArray) -> Accuracy:
    """Returns the headline score with its 95 % interval, and the task's other metrics.

    Args:
        task: The task.
        statistics: Its additive statistics, [examples, k].
    """
    (metric, _), *others = task.metrics(statistics.sum(axis=0)).items()
    bounds = _interval(task, metric, statistics)
    return Accuracy(
        value=bounds.value,
        low=bounds.low,
        high=bounds.high,
        examples=len(statistics),
        metric=metric,
        others={name: float(value) for name, value in others},
    )


def _interval(task: Task, metric: str, statistics: FloatArray) -> Bounds:
    if metric == "accuracy":
        return wilson_interval(round(float(statistics[:, 0].sum())), len(statistics))
    return bootstrap(statistics, lambda sums: task.metrics(sums)[metric]).interval()
