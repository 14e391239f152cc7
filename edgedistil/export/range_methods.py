"""How a tensor's range is chosen from the values that calibration text gives it.

`minmax` takes the least and greatest value seen. `percentile` leaves out the outermost 0.01 % of the values, half of
them at either end. `entropy` clips at the magnitude whose 8-bit picture of the values loses the least information
(Migacz, "8-bit Inference with TensorRT", GTC 2017): least Kullback-Leibler divergence over a histogram of magnitudes.
`mse` takes the range of the least squared error, of rounding what it holds and of clipping what it does not (Nagel et
al. 2021, arXiv 2106.08295, section 3.1): a thin tail is cut, but not values so large that to lose them costs more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from edgedistil.errors import UsageError, did_you_mean
from edgedistil.quantise.ranges import Range

BINS = 2048
PERCENTILE = 99.99
DEFAULT = "mse"
_LEVELS = 128
_CANDIDATES = 120
_STEPS = 255
# Of an extreme: finely where most ranges end, and as far in as a single huge value demands.
_SHARES = np.concatenate([np.geomspace(0.005, 0.2, 20, endpoint=False), np.linspace(0.2, 1.0, 41)])

Found = dict[str, Range]
Run = Callable[[], Iterator[Mapping[str, np.ndarray]]]
"""Runs every row once and gives the tensors' values, a row at a time."""


def find_ranges(method: str, run: Run) -> Found:
    """Returns the ranges of what is run.

    Args:
        method: A key of `METHODS`.
        run: Once, or for most methods twice.

    Raises:
        UsageError: When the method is unknown.
    """
    if method not in METHODS:
        raise UsageError(f"unknown calibration '{method}'", where="quantise", cure=did_you_mean(method, METHODS))
    return METHODS[method](run)


def _minmax(run: Run) -> Found:
    found: Found = {}
    for seen in run():
        for name, values in seen.items():
            low, high = found.get(name, (0.0, 0.0))
            found[name] = min(low, float(values.min())), max(high, float(values.max()))
    return found


def _percentile(run: Run) -> Found:
    extremes = _minmax(run)
    counts = _histograms(run, extremes)
    return {name: percentile_range(counts[name], extremes[name]) for name in counts}


def percentile_range(counts: np.ndarray, extremes: Range) -> Range:
    """Returns what holds all but the outermost values, the edges of bins.

    Args:
        counts: Values in each of equal bins, [bins].
        extremes: Where the first bin begins and the last ends.
    """
    edges = np.linspace(*extremes, len(counts) + 1)
    share = np.cumsum(counts) / counts.sum()
    tail = (100 - PERCENTILE) / 200
    low, high = int(np.searchsorted(share, tail)), int(np.searchsorted(share, 1 - tail))
    return min(0.0, float(edges[low])), max(0.0, float(edges[min(high, len(counts) - 1) + 1]))


def _entropy(run: Run) -> Found:
    extremes = _minmax(run)
    counts = _histograms(run, {name: (0.0, max(-low, high)) for name, (low, high) in extremes.items()}, magnitudes=True)
    limits = {name: entropy_limit(counts[name], max(-low, high)) for name, (low, high) in extremes.items()}
    return {name: (max(low, -limits[name]), min(high, limits[name])) for name, (low, high) in extremes.items()}


def entropy_limit(counts: np.ndarray, greatest: float) -> float:
    """Returns the magnitude at which clipping loses the least information.

    Args:
        counts: Magnitudes in each of equal bins from 0 to the greatest, [bins].
        greatest: The greatest magnitude.
    """
    sizes = np.unique(np.linspace(_LEVELS, len(counts), _CANDIDATES).astype(int))
    losses = [_divergence(counts.astype(np.float64), int(size)) for size in sizes]
    return greatest * float(sizes[int(np.argmin(losses))]) / len(counts)


def _divergence(counts: np.ndarray, size: int) -> float:
    """Returns KL(values clipped to the first bins, the same written in `_LEVELS` levels), in nats."""
    clipped = counts[:size].copy()
    clipped[-1] += counts[size:].sum()
    level = np.arange(size) * _LEVELS // size
    held = counts[:size] > 0
    sums = np.bincount(level, counts[:size], _LEVELS)
    bins = np.bincount(level, held, _LEVELS)
    spread = np.where(held, sums[level] / np.maximum(bins[level], 1), 0.0)
    wanted, got = clipped / clipped.sum(), spread / max(spread.sum(), 1.0)
    # A clipped value that falls where none was counted is not expressed at all.
    return float(np.sum(wanted * np.log(np.maximum(wanted, 1e-12) / np.maximum(got, 1e-12))))


def _mse(run: Run) -> Found:
    extremes = _minmax(run)
    counts = _histograms(run, extremes)
    return {name: mse_range(counts[name], extremes[name]) for name in counts}


def mse_range(counts: np.ndarray, extremes: Range) -> Range:
    """Returns what 8 bits express with the least squared error.

    Args:
        counts: Values in each of equal bins, [bins].
        extremes: Where the first bin begins and the last ends; zero lies between.
    """
    edges = np.linspace(*extremes, len(counts) + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    lows, highs = (_SHARES * extreme if extreme else np.zeros(1) for extreme in extremes)
    below = np.square(np.maximum(lows[:, None] - middles, 0.0)) @ counts
    above = np.square(np.maximum(middles - highs[:, None], 0.0)) @ counts
    steps = (highs - lows[:, None]) / _STEPS
    # What is rounded is off by up to half a step either way, all alike.
    errors = below[:, None] + above + counts.sum() * np.square(steps) / 12
    low, high = np.unravel_index(int(errors.argmin()), errors.shape)
    return float(lows[low]), float(highs[high])


def _histograms(run: Run, spans: Found, *, magnitudes: bool = False) -> dict[str, np.ndarray]:
    """Returns how many values fall into each of equal bins."""
    counts = {name: np.zeros(BINS, dtype=np.int64) for name in spans}
    for seen in run():
        for name, values in seen.items():
            low, high = spans[name]
            bins = ((np.abs(values) if magnitudes else values).ravel() - low) * (BINS / max(high - low, 1e-30))
            counts[name] += np.bincount(np.clip(bins, 0, BINS - 1).astype(np.int32), minlength=BINS)
    return counts


METHODS: dict[str, Callable[[Run], Found]] = {
    "mse": _mse,
    "minmax": _minmax,
    "percentile": _percentile,
    "entropy": _entropy,
}
"""The ways to choose a range, by name."""
