"""Sentence-pair classification: one label for two texts, such as entailment or paraphrase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgedistil.recipe.schema import Data
from edgedistil.tasks.base import Column, Example, Place, texts
from edgedistil.tasks.classes import Classes


class PairClassification(Classes):
    """Two texts a row, one class a pair."""

    name = "pair-classification"

    def columns(self, data: Data) -> list[Column]:
        """Returns both texts and the label."""
        return [
            Column("text", data.text, "data.text"),
            Column("pair", data.text_pair or "text_pair", "data.text_pair"),
            Column("label", data.label, "data.label"),
        ]

    def examples(self, rows: Mapping[str, Sequence[Any]], labels: Sequence[str], place: Place) -> list[Example]:
        """Reads rows of two texts and a label.

        Raises:
            UsageError: For a missing side or a label outside the set.
        """
        first = texts(rows, "text", "pair's first text", place)
        second = texts(rows, "pair", "pair's second text", place)
        encoded = self.encode(self.read_labels(rows["label"], place), labels, place)
        return [
            Example(one, two, number, number, number) for one, two, number in zip(first, second, encoded, strict=True)
        ]
