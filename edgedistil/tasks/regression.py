"""Regression: a score for a text or a pair of texts, such as their similarity; judged by Pearson's correlation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.runner.scoring import Output
from edgedistil.errors import UsageError
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
    ratio,
    texts,
)

_STRATA = 10
_LARGEST = float(np.finfo(np.float32).max)


class Regression:
    """One text or two a row, one number a row."""

    name = "regression"
    metric = "pearson"
    kind = "value"
    windows = False

    def columns(self, data: Data) -> list[Column]:
        """Returns the text or both texts, and the score."""
        pair = [Column("pair", data.text_pair, "data.text_pair")] if data.text_pair else []
        return [Column("text", data.text, "data.text"), *pair, Column("label", data.label, "data.label")]

    def choose_labels(self, data: Data, read: Read, where: str) -> list[str]:
        """Returns the name of the one output, `score` where the recipe gives none.

        Raises:
            UsageError: When the recipe names several.
        """
        del read
        if data.labels and len(data.labels) != 1:
            raise UsageError(
                f"data.labels names {len(data.labels)} labels and a regression has one score",
                where=where,
                cure="leave data.labels out, or choose task: text-classification or pair-classification",
            )
        return data.labels or ["score"]

    def examples(self, rows: Mapping[str, Sequence[Any]], labels: Sequence[str], place: Place) -> list[Example]:
        """Reads rows of one text or two and a score.

        Raises:
            UsageError: For a missing text, or a score that is no finite number.
        """
        del labels
        first = texts(rows, "text", "pair's first text" if "pair" in rows else "text", place)
        second: list[str] | list[None] = [None] * len(first)
        if "pair" in rows:
            second = texts(rows, "pair", "pair's second text", place)
        scores = [_number(value, place(row)) for row, value in enumerate(rows["label"])]
        return [Example(one, two, value, value, value) for one, two, value in zip(first, second, scores, strict=True)]

    def check(self, values: FloatArray, labels: Sequence[str], where: str) -> None:
        """Checks that not all scores are the same.

        Raises:
            UsageError: When they are, or there is but one.
        """
        del labels
        if len(values) < 2 or np.ptp(values) == 0:
            raise UsageError(
                f"all {len(values)} rows have one score ({values[0]:g})" if len(values) else "there are no rows",
                where=where,
                cure="a correlation with it would mean nothing: name rows of different scores",
            )

    def strata(self, values: FloatArray) -> IntArray:
        """Returns tenths, so that a split set aside has scores like the rest."""
        edges = np.quantile(values, np.linspace(0, 1, _STRATA + 1)[1:-1])
        return np.asarray(np.searchsorted(edges, values, side="right"))

    def guarded(self, example: Example) -> str:
        """Returns the example's id: both texts together."""
        return example.name

    def label(self, example: Example, encoding: Encoding, labels: Sequence[str]) -> Labelled:
        """Returns the score."""
        del encoding, labels
        return Labelled(example.target)

    def predictions(
        self, outputs: Sequence[Output], tokens: EvaluationSet, answers: Answers | None, labels: Sequence[str]
    ) -> dict[str, Prediction]:
        """Returns the scores as they are."""
        del answers, labels
        return {str(name): float(output) for name, output in zip(tokens.ids, outputs, strict=True)}

    def references(self, tokens: EvaluationSet, answers: Answers | None, labels: Sequence[str]) -> dict[str, Reference]:
        """Returns the set's scores."""
        del answers, labels
        return {str(name): float(label) for name, label in zip(tokens.ids, tokens.labels, strict=True)}

    def statistics(self, predictions: Sequence[Prediction], references: Sequence[Reference]) -> FloatArray:
        """Returns (x, y, xx, yy, xy, 1) an example."""
        x, y = np.asarray(predictions, dtype=np.float64), np.asarray(references, dtype=np.float64)
        return np.stack([x, y, x * x, y * y, x * y, np.ones(len(x))], axis=1)

    def metrics(self, sums: FloatArray) -> dict[str, FloatArray]:
        """Returns Pearson's correlation; 0 where either side does not vary."""
        x, y, xx, yy, xy, n = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
        # Rounding leaves a little of a variance that is none.
        across, down = (
            np.where(part > 1e-12 * n * square, part, 0.0)
            for part, square in ((n * xx - x * x, xx), (n * yy - y * y, yy))
        )
        return {"pearson": np.clip(ratio(n * xy - x * y, np.sqrt(across * down)), -1.0, 1.0)}

    def spearman(self, predictions: Sequence[Prediction], references: Sequence[Reference]) -> float:
        """Returns the rank correlation, which is no function of sums over examples and so stands beside `metrics`."""
        from scipy import stats  # heavy, and no prediction needs it

        return float(stats.spearmanr(predictions, references).statistic)


def _number(value: object, where: str) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(
            f"the score '{'' if value is None else value}' is no number",
            where=where,
            cure="give the row a finite number or remove it; is data.label the right column?",
        )
    if abs(number) > _LARGEST:
        raise UsageError(
            f"the score {number:g} is beyond what 32 bits hold",
            where=where,
            cure="scale the scores, for example to 0-1",
        )
    return number
