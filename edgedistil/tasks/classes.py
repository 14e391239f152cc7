"""What the tasks with one class a row have in common: labels, accuracy, shares."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.runner.scoring import Output
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.recipe.schema import Data
from edgedistil.tasks.answers import Answers
from edgedistil.tasks.base import Example, FloatArray, IntArray, Labelled, Place, Prediction, Read, Reference, ratio

# A column of numbers some of which were missing once is often one of floating point: 1.0 is the class 1.
_NUMBER = re.compile(r"(-?[0-9]+)(\.0+)?")
_NO_LABEL = (list, dict, bytes)


class Classes:
    """Labels from a column's values, class numbers from logits, accuracy from class numbers."""

    metric = "accuracy"
    kind = "class"
    windows = False

    def choose_labels(self, data: Data, read: Read, where: str) -> list[str]:
        """Returns the recipe's labels, or those of the training split's column.

        Raises:
            UsageError: When there are fewer than two.
        """
        if data.labels and len(data.labels) < 2:
            raise UsageError(
                f"data.labels names one label, '{data.labels[0]}': one class is nothing to learn",
                where=where,
                cure="name every label, or leave data.labels out",
            )
        # `read_labels` names the row of what is none.
        found = (_written(value) for value in read("label") if not isinstance(value, _NO_LABEL))
        return data.labels or self.find_labels(found, where)

    def find_labels(self, values: Iterable[str], where: str) -> list[str]:
        """Returns the label names of a column: its distinct values, numbers in numeric order.

        Args:
            values: The training split's label column.
            where: How an error names that split.

        Raises:
            UsageError: When there are fewer than two classes, or so many that the column holds something else.
        """
        counts = Counter(values)
        rows = counts.total()
        # A row without a label is no class of its own; `encode` names that row.
        found = counts.keys() - {""}
        numeric = all(_NUMBER.fullmatch(value) for value in found)
        if numeric:
            found = {_whole(value) for value in found}
        if not found:
            raise UsageError("no row has a label", where=where, cure="give the rows labels, or correct data.label")
        if len(found) < 2:
            raise UsageError(
                f"every row has the label '{found.pop()}': one class is nothing to learn",
                where=where,
                cure="name a data set with two classes or more, or correct data.label",
            )
        if len(found) > max(1000, rows // 4):
            raise UsageError(
                f"{len(found)} different labels in {rows} rows", where=where, cure="is data.label the right column?"
            )
        return sorted(found, key=(lambda value: (int(value), value)) if numeric else None)

    def read_labels(self, values: Sequence[Any], place: Place) -> list[str]:
        """Returns a label column as text, empty where there is none.

        Raises:
            UsageError: Naming the first row that has several.
        """
        for row, value in enumerate(values):
            if isinstance(value, _NO_LABEL):
                raise UsageError(
                    f"the label {value!r:.60} is no single value",
                    where=place(row),
                    cure="give each row one label, as a string or a number; is data.label the right column?",
                )
        return [_written(value) for value in values]

    def encode(self, values: Sequence[str], labels: Sequence[str], place: Place) -> list[int]:
        """Returns each value's class number.

        A value is either one of the names, or, where no name is itself a number, the number of one ("0" is the
        first).

        Args:
            values: A label column.
            labels: Label names, in the order of their numbers.
            place: How an error names a row.

        Raises:
            UsageError: Naming the first row whose value is outside the label set.
        """
        numbers = {_whole(label): index for index, label in enumerate(labels)}
        numbers |= {label: index for index, label in enumerate(labels)}
        if not any(_NUMBER.fullmatch(label) for label in labels):
            numbers |= {str(index): index for index in range(len(labels))}
        encoded = []
        for row, value in enumerate(values):
            number = numbers.get(value, numbers.get(_whole(value)))
            if number is None:
                raise UsageError(
                    f"label '{value}' is not one of the labels ({', '.join(labels[:8])})",
                    where=place(row),
                    cure=did_you_mean(value, labels) if value else "give the row a label or remove it",
                )
            encoded.append(number)
        return encoded

    def check(self, values: FloatArray, labels: Sequence[str], where: str) -> None:
        """Checks that a split has an example of at least two classes.

        Raises:
            UsageError: When it has one class or none.
        """
        present = np.unique(np.asarray(values)).astype(np.int64)
        if len(present) < 2:
            names = ", ".join(labels[index] for index in present) or "none"
            raise UsageError(
                f"only one class in {len(values)} rows ({names})",
                where=where,
                cure="accuracy on it would mean nothing: name rows of two classes or more",
            )

    def strata(self, values: FloatArray) -> IntArray:
        """Returns the classes themselves."""
        return np.asarray(values).astype(np.int64)

    def guarded(self, example: Example) -> str:
        """Returns the example's id: all of its texts together."""
        return example.name

    def label(self, example: Example, encoding: Encoding, labels: Sequence[str]) -> Labelled:
        """Returns the class number."""
        del encoding, labels
        return Labelled(example.target)

    def probabilities(self, logits: FloatArray) -> FloatArray:
        """Returns the softmax of logits [..., labels], each row summing to 1; not calibrated."""
        shifted = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))

    def predictions(
        self, outputs: Sequence[Output], tokens: EvaluationSet, answers: Answers | None, labels: Sequence[str]
    ) -> dict[str, Prediction]:
        """Returns the class numbers as they are."""
        del answers, labels
        return {str(name): int(output) for name, output in zip(tokens.ids, outputs, strict=True)}

    def references(self, tokens: EvaluationSet, answers: Answers | None, labels: Sequence[str]) -> dict[str, Reference]:
        """Returns the set's labels."""
        del answers, labels
        return {str(name): int(label) for name, label in zip(tokens.ids, tokens.labels, strict=True)}

    def statistics(self, predictions: Sequence[Prediction], references: Sequence[Reference]) -> FloatArray:
        """Returns (right, 1) an example."""
        right = np.asarray(predictions) == np.asarray(references)
        return np.stack([right.astype(np.float64), np.ones(len(right))], axis=1)

    def metrics(self, sums: FloatArray) -> dict[str, FloatArray]:
        """Returns the share of examples labelled right."""
        return {"accuracy": ratio(sums[..., 0], sums[..., 1])}


def _written(value: Any) -> str:
    # Not a number is how a missing one is written among floating-point numbers.
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _whole(value: str) -> str:
    number = _NUMBER.fullmatch(value)
    return number[1] if number else value
