"""Any score of two models on the same examples: the paired bootstrap of their difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgedistil.bench.bootstrap import Bootstrap, FloatArray, MetricOf, bootstrap
from edgedistil.gate.statistics import MOST_TIMES, ONE_SIDED, two_digits_up


@dataclass(frozen=True)
class Paired:
    """The difference of a score between two models, new less old, on the same examples.

    Attributes:
        count: Examples.
        old: The old model's score.
        new: The new model's.
        distribution: The bootstrap distribution of the difference.
    """

    count: int
    old: float
    new: float
    distribution: Bootstrap

    @property
    def difference(self) -> float:
        """The new score less the old."""
        return self.distribution.value

    @property
    def unseen(self) -> float:
        """Returns the largest share of examples that could be changed with a chance of 1 in 20 of seeing none so.

        1 - 0.05^(1/n), the exact form of the rule of three (Hanley and Lippman-Hand, JAMA 249, 1983).
        """
        return float(1 - (1 - ONE_SIDED) ** (1 / self.count))

    def lower(self, confidence: float = ONE_SIDED) -> float:
        """Returns the one-sided lower bound of the difference.

        A bootstrap knows no change that it has not seen: two models alike on ten examples would be alike for certain.
        Answers that are worth nothing on a share of the examples cost about that share of the score, so a loss of the
        `unseen` share of the old score is never ruled out.
        """
        return min(self.difference - self.unseen * max(self.old, 0.0), self.distribution.bound(1 - confidence))

    def upper(self, confidence: float = ONE_SIDED) -> float:
        """Returns the one-sided upper bound; an unseen gain of the share that is not yet right is never ruled out."""
        return max(self.difference + self.unseen * (1 - self.old), self.distribution.bound(confidence))

    def examples_to_settle(self, margin: float) -> int | None:
        """Returns how many examples would decide, were the difference to stay as it is.

        The bootstrap's distance shrinks with the root of the examples, that of the unseen with the examples.

        Args:
            margin: Score that may be lost.

        Returns:
            A number of examples, rounded up to two digits; None when the difference sits so near the margin that no
            reasonable number would do.
        """
        away = self.difference + margin
        if away > 0:
            spread, unseen = self.difference - self.distribution.bound(1 - ONE_SIDED), max(self.old, 0.0)
        else:
            spread, unseen = self.distribution.bound(ONE_SIDED) - self.difference, 1 - self.old
        if abs(away) < 1e-12:
            return None
        times = max((spread / away) ** 2, self.unseen * unseen / abs(away))
        return two_digits_up(self.count * max(times, 1.0)) if times <= MOST_TIMES else None


def compare_scores(old: FloatArray, new: FloatArray, metric_of: MetricOf) -> Paired:
    """Compares two models' scores on the same examples.

    Each resample takes the same examples for both, so that what makes an example hard cancels (Efron and Tibshirani,
    An Introduction to the Bootstrap, 1993, chapter 14; for scores that are no means: Berg-Kirkpatrick, Burkett and
    Klein, EMNLP 2012, section 2).

    Args:
        old: The old model's additive statistics, [n, k].
        new: The new model's, of the same examples in the same order.
        metric_of: The score of summed statistics.

    Raises:
        ValueError: When there is no example, or the score is not defined on them.
    """
    width = old.shape[1]

    def difference(sums: FloatArray) -> FloatArray:
        return np.asarray(metric_of(sums[..., width:]) - metric_of(sums[..., :width]))

    distribution = bootstrap(np.hstack([old, new]), difference)
    return Paired(len(old), float(metric_of(old.sum(axis=0))), float(metric_of(new.sum(axis=0))), distribution)
