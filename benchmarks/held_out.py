"""A split's examples, on which files are scored and compared pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.runner.scoring import predict_all
from edgedistil.bench.scores import accuracy_of
from edgedistil.data.tokens import open_tokens
from edgedistil.gate.paired import compare_scores
from edgedistil.gate.statistics import Pairs, tango_lower, tango_upper
from edgedistil.tasks import Task, get_task
from edgedistil.tasks.answers import Answers


@dataclass(frozen=True)
class HeldOut:
    """Examples with what they should be answered with."""

    tokens: EvaluationSet
    task: Task
    labels: list[str]
    answers: Answers | None

    @classmethod
    def open(cls, split: Path, task: str, labels: list[str]) -> HeldOut:
        """Opens a data stage's split."""
        answers = split / "answers.jsonl"
        return cls(
            open_tokens(split), get_task(task, labels), labels, Answers.load(answers) if answers.is_file() else None
        )

    def statistics(self, runtime: str, path: Path, threads: int = 2) -> np.ndarray:
        """Returns the task's additive statistics of one file, [examples, k]."""
        opened = runtimes.create(runtime, str(path), threads=threads)
        outputs = predict_all(opened, self.tokens, 1, lambda _: None)
        opened.close()
        return self.judge(outputs)

    def judge(self, outputs: list[Any]) -> np.ndarray:
        """Returns the task's additive statistics of a model's outputs, [examples, k]."""
        references = self.task.references(self.tokens, self.answers, self.labels)
        predictions = self.task.predictions(outputs, self.tokens, self.answers, self.labels)
        return self.task.statistics([predictions[name] for name in references], list(references.values()))

    def headline(self, chosen: Sequence[int], outputs: Sequence[Any]) -> float:
        """Returns the task's main score of a few examples' outputs, for tasks with one answer a text."""
        every = [outputs[0]] * len(self.tokens)
        for index, output in zip(chosen, outputs, strict=True):
            every[index] = output
        # An example that stands in the split twice is judged once.
        places = {
            name: place for place, name in enumerate(self.task.references(self.tokens, self.answers, self.labels))
        }
        found = self.judge(every)[[places[self.tokens.ids[index]] for index in chosen]]
        return accuracy_of(self.task, found).value

    def score(self, found: np.ndarray) -> dict[str, Any]:
        """Returns the scores that statistics add up to, with 95 % intervals."""
        made = accuracy_of(self.task, found)
        return {
            "metric": made.metric,
            "accuracy": [made.value, made.low, made.high],
            "others": made.others,
            "examples": len(found),
        }

    def difference(self, found: np.ndarray, before: np.ndarray) -> dict[str, Any]:
        """Returns how far the headline score is above another's on the same examples, with its 95 % interval."""
        metric = accuracy_of(self.task, found).metric
        if metric == "accuracy":
            right, wanted = found[:, 0] > 0, before[:, 0] > 0
            pairs = Pairs(len(right), int((right & ~wanted).sum()), int((wanted & ~right).sum()))
            low, high = tango_lower(pairs, 0.975), tango_upper(pairs, 0.975)
            return {
                "difference": pairs.difference,
                "low": low,
                "high": high,
                "gained": int(pairs.gained),
                "lost": int(pairs.lost),
            }
        paired = compare_scores(before, found, lambda sums: self.task.metrics(sums)[metric])
        return {"difference": paired.difference, "low": paired.lower(0.975), "high": paired.upper(0.975)}
