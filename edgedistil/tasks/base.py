"""What a task is: how labels are read, logits decoded and predictions scored. Torch-free: a device scores too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt


class Task(Protocol):
    """One kind of question put to a text."""

    name: str
    metric: str

    def find_labels(self, values: Sequence[str], where: str) -> list[str]:
        """Returns the label names found in a column."""

    def encode(self, values: Sequence[str], labels: Sequence[str], where: str, first_row: int) -> list[int]:
        """Returns each value's class number."""

    def check(self, encoded: Sequence[int], labels: Sequence[str], where: str) -> None:
        """Refuses a split on which the metric would mean nothing."""

    def decode(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
        """Returns predictions, [examples], for logits [examples, labels]."""

    def probabilities(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Returns each label's share, [examples, labels]."""

    def score(self, predictions: npt.NDArray[np.int64], references: npt.NDArray[np.int64]) -> float:
        """Returns the metric, between 0 and 1."""
