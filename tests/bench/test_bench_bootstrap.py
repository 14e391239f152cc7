"""The bootstrap against closed forms, scipy's own, and the coverage it claims."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edgedistil.bench.bootstrap import FloatArray, bootstrap, resampled_sums


def mean(sums: FloatArray) -> FloatArray:
    return sums[..., 0] / sums[..., 1]


def pearson(sums: FloatArray) -> FloatArray:
    x, y, xx, yy, xy, n = np.moveaxis(sums, -1, 0)
    return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))


def of_pairs(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.stack([x, y, x * x, y * y, x * y, np.ones_like(x)], axis=1)


def with_ones(values: FloatArray) -> FloatArray:
    return np.stack([values, np.ones(len(values))], axis=1)


@given(st.integers(1, 60), st.integers(1, 40))
def test_a_resample_draws_as_many_examples_as_there_are(count: int, resamples: int) -> None:
    sums = resampled_sums(np.eye(count), resamples)
    assert sums.shape == (resamples, count)
    assert np.all(sums.sum(axis=1) == count)
    assert np.all(sums == np.round(sums))


def test_many_examples_are_drawn_in_parts_and_all_alike() -> None:
    sums = resampled_sums(np.ones((30_000, 1)), 100)
    assert sums.shape == (100, 1)
    assert np.all(sums == 30_000)


@pytest.mark.parametrize(
    ("values", "metric", "scipys"),
    [
        (np.random.default_rng(0).gamma(1.0, size=(120, 1)), mean, np.mean),
        (np.random.default_rng(1).multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 120), pearson, None),
    ],
    ids=["mean of a skewed sample", "correlation"],
)
def test_the_interval_is_scipys_bca(values: FloatArray, metric, scipys) -> None:
    statistics = with_ones(values[:, 0]) if scipys else of_pairs(values[:, 0], values[:, 1])
    mine = bootstrap(statistics, metric, resamples=20_000).interval()
    if scipys:
        theirs = stats.bootstrap((values[:, 0],), scipys, n_resamples=20_000, random_state=0).confidence_interval
    else:
        theirs = stats.bootstrap(
            tuple(values.T), lambda x, y: stats.pearsonr(x, y)[0], paired=True, vectorized=False, n_resamples=4000,
            random_state=0,
        ).confidence_interval  # fmt: skip
    width = theirs.high - theirs.low
    assert mine.low == pytest.approx(theirs.low, abs=0.06 * width)
    assert mine.high == pytest.approx(theirs.high, abs=0.06 * width)


def test_an_interval_covers_the_truth_at_its_confidence() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        # A post's F1: often 0 or 1, else something between.
        score = np.where(generator.random(150) < 0.6, 1.0, generator.random(150))
        found = bootstrap(with_ones(score), mean, resamples=1000).interval()
        hits += found.low <= 0.8 <= found.high
    assert hits / 300 == pytest.approx(0.95, abs=0.035)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 3))
def test_the_value_lies_within_and_a_seed_fixes_the_rest(values: list[float], seed: int) -> None:
    statistics = with_ones(np.array(values))
    found = bootstrap(statistics, mean, resamples=200, seed=seed)
    interval = found.interval()
    assert min(values) - 1e-9 <= interval.low <= interval.value <= interval.high <= max(values) + 1e-9
    assert found.bound(0.05) <= found.bound(0.5) <= found.bound(0.95)
    assert bootstrap(statistics, mean, resamples=200, seed=seed).interval() == interval


def test_what_cannot_be_resampled_is_refused() -> None:
    with pytest.raises(ValueError, match="are not"):
        bootstrap(np.zeros((0, 2)), mean)
    with pytest.raises(ValueError, match="not defined"), np.errstate(invalid="ignore"):
        bootstrap(np.zeros((3, 2)), mean)
