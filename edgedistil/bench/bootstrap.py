"""Intervals for any metric that is a function of sums over examples: one bootstrap for all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from edgedistil.bench.stats import CONFIDENCE, Bounds

FloatArray = npt.NDArray[np.floating]
MetricOf = Callable[[FloatArray], FloatArray]
"""From summed statistics [..., k] to the metric [...]."""

_RESAMPLES = 4000
# Weights held at once: 16 MB as float64, whatever the number of examples.
_MOST_WEIGHTS = 2_000_000


@dataclass(frozen=True)
class Bootstrap:
    """A metric's bootstrap distribution, ready to give bounds.

    Attributes:
        value: The metric on the examples themselves.
        replicates: The metric on each resample, sorted, [B].
        bias: z0 of the bias correction.
        acceleration: How the standard error moves with the metric.
    """

    value: float
    replicates: FloatArray
    bias: float
    acceleration: float

    def bound(self, share: float) -> float:
        """Returns the BCa bound below which the metric lies with a chance of `share` (Efron, JASA 82, 1987, eq. 2.3).

        Args:
            share: 0.05 for a one-sided lower 95 % bound, 0.95 for an upper one.
        """
        shifted = self.bias + float(special.ndtri(share))
        scale = 1 - self.acceleration * shifted
        if scale <= 0:
            # The correction breaks down far in the tail of a wild sample; the extreme replicate is all there is.
            return float(self.replicates[0 if shifted < 0 else -1])
        return float(np.quantile(self.replicates, special.ndtr(self.bias + shifted / scale)))

    def interval(self, confidence: float = CONFIDENCE) -> Bounds:
        """Returns the two-sided interval, which always holds the value itself."""
        tail = (1 - confidence) / 2
        return Bounds(self.value, min(self.value, self.bound(tail)), max(self.value, self.bound(1 - tail)))


def bootstrap(statistics: FloatArray, metric_of: MetricOf, resamples: int = _RESAMPLES, seed: int = 0) -> Bootstrap:
    """Bootstraps a metric over examples.

    A resample is a weight an example, how often it was drawn, so that weights [B, n] times statistics [n, k] are the
    sums of all resamples. Leaving an example out is a subtraction, so the acceleration's jackknife costs no more than
    the metric itself (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, eqs. 14.14 and 14.15).

    Args:
        statistics: Of each example, additive, [n, k].
        metric_of: The metric of summed statistics.
        resamples: How many.
        seed: Fixes them.

    Returns:
        The distribution; resamples on which the metric is not defined are left out of it.

    Raises:
        ValueError: When there is no example, or the metric is not defined on the examples.
    """
    values = np.asarray(statistics, dtype=np.float64)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"statistics of shape {values.shape} are not [examples, k]")
    total = values.sum(axis=0)
    value = float(metric_of(total))
    replicates = np.sort(np.asarray(metric_of(resampled_sums(values, resamples, seed)), dtype=np.float64))
    replicates = replicates[np.isfinite(replicates)]
    if not math.isfinite(value) or not len(replicates):
        raise ValueError("the metric is not defined on these examples")
    return Bootstrap(value, replicates, _bias(replicates, value), _acceleration(values, total, metric_of))


def resampled_sums(statistics: FloatArray, resamples: int, seed: int = 0) -> FloatArray:
    """Returns the summed statistics of resamples, [B, k], for statistics [n, k]."""
    generator, count = np.random.default_rng(seed), len(statistics)
    at_once = max(_MOST_WEIGHTS // count, 1)
    sizes = [min(at_once, resamples - start) for start in range(0, resamples, at_once)]
    return np.concatenate([_weights(size, count, generator) @ statistics for size in sizes])


def _weights(resamples: int, count: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    drawn = generator.integers(0, count, size=(resamples, count))
    drawn += np.arange(resamples)[:, None] * count
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count).astype(np.float64)


def _bias(replicates: FloatArray, value: float) -> float:
    """Returns z0; replicates equal to the value count half, for a metric in steps has many."""
    size = len(replicates)
    below = np.searchsorted(replicates, value, side="left")
    up_to = np.searchsorted(replicates, value, side="right")
    share = float(below + up_to) / (2 * size)
    return float(special.ndtri(min(max(share, 0.5 / size), 1 - 0.5 / size)))


def _acceleration(statistics: FloatArray, total: FloatArray, metric_of: MetricOf) -> float:
    if len(statistics) < 2:
        return 0.0
    left_out = np.asarray(metric_of(total - statistics), dtype=np.float64)
    if not np.isfinite(left_out).all():
        return 0.0
    away = left_out.mean() - left_out
    spread = float(np.sum(away**2))
    # Rounding alone gives identical examples a spread.
    return float(np.sum(away**3)) / (6 * spread**1.5) if spread > 1e-24 else 0.0
