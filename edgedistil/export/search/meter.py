"""The meter of real files: a runtime, a task and its examples."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from edgedistil.bench.bootstrap import FloatArray
from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.runner.scoring import predict_all
from edgedistil.errors import EdgeDistilError
from edgedistil.quiet import silence
from edgedistil.tasks import Task
from edgedistil.tasks.answers import Answers

PROBE_ROWS = 128


class FileMeter:
    """Runs files in one runtime, a row at a time as a device does.

    Args:
        runtime: Its name.
        task: The task.
        labels: The labels, in the order of the logits.
        examples: The dev split.
        answers: Texts and right answers, for tasks whose answer is a piece of the text.
        threads: Threads an inference may use.
        probe_rows: Rows of the probe, the first ones.
    """

    def __init__(
        self,
        runtime: str,
        task: Task,
        labels: Sequence[str],
        examples: EvaluationSet,
        answers: Answers | None = None,
        threads: int = 1,
        probe_rows: int = PROBE_ROWS,
    ) -> None:
        self._runtime, self._threads = runtime, threads
        self._task, self._labels = task, list(labels)
        self._examples, self._answers = examples, answers
        self._probe_rows = min(probe_rows, len(examples))
        self._references = task.references(examples, answers, self._labels)

    def statistics(self, path: Path) -> FloatArray:
        """Returns a file's additive statistics, [examples, k].

        Raises:
            EdgeDistilError: When it cannot be run.
        """
        with self._open(path) as runtime:
            try:
                outputs = predict_all(runtime, self._examples, 1, lambda _: None)
            except RunnerError as error:
                raise EdgeDistilError(f"cannot be scored ({error})", where=str(path)) from error
        found = self._task.predictions(outputs, self._examples, self._answers, self._labels)
        return self._task.statistics([found[name] for name in self._references], list(self._references.values()))

    def probe(self, path: Path) -> FloatArray:
        """Returns a file's logits on the first rows, in one dimension.

        Raises:
            EdgeDistilError: When it cannot be run.
        """
        lengths = self._examples.lengths
        with self._open(path) as runtime:
            try:
                rows = [runtime.run(*self._examples.batch([row], int(lengths[row]))) for row in range(self._probe_rows)]
            except RunnerError as error:
                raise EdgeDistilError(f"cannot be run ({error})", where=str(path)) from error
        return np.concatenate([row.ravel() for row in rows])

    def metric_of(self, sums: FloatArray) -> FloatArray:
        """Returns the task's headline score of summed statistics."""
        return np.asarray(self._task.metrics(sums)[self._task.metric])

    def _open(self, path: Path) -> closing[runtimes.Runtime]:
        try:
            with silence():
                return closing(runtimes.create(self._runtime, str(path), self._threads))
        except RunnerError as error:
            raise EdgeDistilError(f"cannot be opened ({error})", where=str(path)) from error
