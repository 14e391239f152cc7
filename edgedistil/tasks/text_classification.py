"""Text classification: one label a text, out of two or more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgedistil.recipe.schema import Data
from edgedistil.tasks.base import Column, Example, Place, texts
from edgedistil.tasks.classes import Classes


class TextClassification(Classes):
    """One text a row, one class a text."""

    name = "text-classification"

    def columns(self, data: Data) -> list[Column]:
        """Returns text and label."""
        return [Column("text", data.text, "data.text"), Column("label", data.label, "data.label")]

    def examples(self, rows: Mapping[str, Sequence[Any]], labels: Sequence[str], place: Place) -> list[Example]:
        """Reads rows of text and label.

        Raises:
            UsageError: For an empty text or a label outside the set.
        """
        found = texts(rows, "text", "text", place)
        encoded = self.encode(self.read_labels(rows["label"], place), labels, place)
        return [Example(text, None, number, number, number) for text, number in zip(found, encoded, strict=True)]
