"""Text classification: one label a text, out of two or more."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgedistil.errors import UsageError, did_you_mean

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]

_NUMBER = re.compile(r"-?[0-9]+")


class TextClassification:
    """Labels from a column's values, class numbers from logits, accuracy from class numbers."""

    name = "text-classification"
    metric = "accuracy"

    def find_labels(self, values: Sequence[str], where: str) -> list[str]:
        """Returns the label names of a column: its distinct values, numbers in numeric order.

        Args:
            values: The training split's label column.
            where: How an error names that split.

        Raises:
            UsageError: When there are fewer than two classes, or so many that the column holds something else.
        """
        # A row without a label is no class of its own; `encode` names that row.
        counts = Counter(value for value in values if value)
        if len(counts) < 2:
            only = next(iter(counts), "")
            raise UsageError(
                f"every row has the label '{only}': one class is nothing to learn",
                where=where,
                cure="name a data set with two classes or more, or correct data.label",
            )
        if len(counts) > max(1000, len(values) // 4):
            raise UsageError(
                f"{len(counts)} different labels in {len(values)} rows",
                where=where,
                cure="is data.label the right column?",
            )
        numeric = all(_NUMBER.fullmatch(value) for value in counts)
        return sorted(counts, key=(lambda value: (int(value), value)) if numeric else None)

    def encode(self, values: Sequence[str], labels: Sequence[str], where: str, first_row: int) -> list[int]:
        """Returns each value's class number.

        A value is either one of the names, or, where no name is itself a number, the number of one ("0" is the
        first).

        Args:
            values: A label column.
            labels: Label names, in the order of their numbers.
            where: How an error names the split.
            first_row: Number of the first row, as a person counts them in the file.

        Raises:
            UsageError: Naming the first row whose value is outside the label set.
        """
        numbers = {label: index for index, label in enumerate(labels)}
        if not any(_NUMBER.fullmatch(label) for label in labels):
            numbers |= {str(index): index for index in range(len(labels))}
        encoded = []
        for row, value in enumerate(values):
            number = numbers.get(value)
            if number is None:
                raise UsageError(
                    f"label '{value}' is not one of the labels ({', '.join(labels[:8])})",
                    where=f"{where}:{row + first_row}",
                    cure=did_you_mean(value, labels) if value else "give the row a label or remove it",
                )
            encoded.append(number)
        return encoded

    def check(self, encoded: Sequence[int], labels: Sequence[str], where: str) -> None:
        """Checks that a split has an example of at least two classes.

        Raises:
            UsageError: When it has one class or none.
        """
        present = sorted(set(encoded))
        if len(present) < 2:
            names = ", ".join(labels[index] for index in present) or "none"
            raise UsageError(
                f"only one class in {len(encoded)} rows ({names})",
                where=where,
                cure="accuracy on it would mean nothing: name rows of two classes or more",
            )

    def decode(self, logits: FloatArray) -> IntArray:
        """Returns the class number of each example, [examples], for logits [examples, labels]."""
        return np.asarray(logits).argmax(axis=-1).astype(np.int64)

    def probabilities(self, logits: FloatArray) -> FloatArray:
        """Returns the softmax of logits [examples, labels], each row summing to 1; not calibrated."""
        shifted = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))

    def score(self, predictions: IntArray, references: IntArray) -> float:
        """Returns the share of examples labelled right."""
        return float((np.asarray(predictions) == np.asarray(references)).mean())
