from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from edgedistil.bench import stats

QUANTILES = st.sampled_from([0.5, 0.9, 0.99])


@given(st.integers(1, 2000), QUANTILES)
def test_ranks_cover_and_are_the_innermost(count: int, quantile: float) -> None:
    low, high = stats.quantile_ranks(count, quantile)
    below = reference.binom(count, quantile)
    assert below.cdf(low - 1) <= 0.025 + 1e-12
    assert below.cdf(low) > 0.025
    assert below.sf(high - 1) <= 0.025 + 1e-12
    assert below.sf(high - 2) > 0.025


def test_ranks_of_the_median_are_those_of_the_published_table() -> None:
    # Conover, Practical Nonparametric Statistics, sign-test intervals for the median at 95 %.
    assert [stats.quantile_ranks(n, 0.5) for n in (6, 10, 20, 30)] == [(1, 6), (2, 9), (6, 15), (10, 21)]


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=200), QUANTILES)
def test_interval_holds_its_value_and_lies_in_the_samples(samples: list[float], quantile: float) -> None:
    found = stats.quantile_interval(samples, quantile)
    assert min(samples) <= found.low <= found.value <= found.high <= max(samples)
    assert found.value == pytest.approx(np.quantile(samples, quantile))


def test_interval_agrees_with_scipys_quantile_test() -> None:
    samples = np.random.default_rng(0).lognormal(size=500)
    expected = reference.quantile_test(samples, p=0.9).confidence_interval(0.95)
    found = stats.quantile_interval(samples, 0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.02)


def test_too_few_samples_for_a_tail_are_said_to_be_too_few() -> None:
    assert not stats.quantile_interval(np.arange(100.0), 0.99).attained
    assert stats.quantile_interval(np.arange(400.0), 0.99).attained
    assert not stats.quantile_interval([1.0], 0.5).attained


def test_blocks_that_differ_widen_the_interval_and_equal_ones_hardly() -> None:
    generator = np.random.default_rng(2)
    blocks = [50] * 10
    alike = generator.normal(10, 1, 500)
    shifted = alike + np.repeat(generator.normal(0, 2, 10), 50)
    plain = stats.quantile_interval(shifted, 0.5)
    blocked = stats.quantile_interval(shifted, 0.5, blocks)
    assert blocked.relative_width > 2 * plain.relative_width
    ratio = (
        stats.quantile_interval(alike, 0.5, blocks).relative_width / stats.quantile_interval(alike, 0.5).relative_width
    )
    assert 1 <= ratio < 2


def test_blocked_interval_covers_where_the_plain_one_does_not() -> None:
    generator = np.random.default_rng(3)
    hits = {"plain": 0, "blocked": 0}
    for _ in range(300):
        samples = (generator.normal(10, 1, (12, 1)) + generator.normal(0, 1, (12, 30))).ravel()
        for name, blocks in (("plain", None), ("blocked", [30] * 12)):
            found = stats.quantile_interval(samples, 0.5, blocks)
            hits[name] += found.low <= 10 <= found.high
    assert hits["blocked"] / 300 > 0.92
    assert hits["plain"] / 300 < 0.75


def test_effective_count_is_all_of_identical_blocks_and_few_of_opposite_ones() -> None:
    same = np.tile([True, False], 100)
    opposite = np.repeat([True, False], 100)
    assert 100 < stats.effective_count(same, [20] * 10) <= 200
    assert stats.effective_count(opposite, [20] * 10) < 11
    assert stats.effective_count(same, [200]) == 200


@given(st.data())
def test_wilson_agrees_with_scipy(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5000))
    successes = data.draw(st.integers(0, count))
    expected = reference.binomtest(successes, count).proportion_ci(0.95, method="wilson")
    found = stats.wilson_interval(successes, count)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.low <= found.value <= found.high


def test_a_ratio_covers_the_truth_at_its_confidence() -> None:
    generator = np.random.default_rng(0)
    noise = generator.normal(0, (0.01, 0.03), (4000, 2))
    hits = 0
    for new, old in np.exp(noise):
        _, low, high = stats.ratio_interval(
            (2 * new, 2 * new * np.exp(-0.0196), 2 * new * np.exp(0.0196)),
            (old, old * np.exp(-0.0588), old * np.exp(0.0588)),
        )
        hits += low <= 2 <= high
    assert hits / len(noise) == pytest.approx(0.95, abs=0.012)


def test_a_ratio_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        stats.ratio_interval((1.0, 0.0, 2.0), (1.0, 0.9, 1.1))


def test_paired_ratio_sees_through_a_drift_that_blinds_the_unpaired_one() -> None:
    generator = np.random.default_rng(5)
    speed = np.linspace(1, 3, 10)
    a = [2 * s * generator.normal(1, 0.01, 40) for s in speed]
    b = [s * generator.normal(1, 0.01, 40) for s in speed]
    paired = stats.paired_ratio_interval(a, b)
    assert paired.low < 2 < paired.high
    assert paired.relative_width < 0.01
    new, old = (stats.quantile_interval(np.concatenate(blocks), 0.5, [40] * 10) for blocks in (a, b))
    _, low, high = stats.ratio_interval((new.value, new.low, new.high), (old.value, old.low, old.high))
    assert high - low > 0.5


def test_a_spoilt_round_does_not_move_the_paired_ratio() -> None:
    generator = np.random.default_rng(6)
    a = [list(2 * generator.normal(1, 0.01, 40)) for _ in range(8)]
    b = [list(generator.normal(1, 0.01, 40)) for _ in range(8)]
    a[3] = [30.0] * 40
    found = stats.paired_ratio_interval(a, b)
    assert found.value == pytest.approx(2, rel=0.02)
    assert found.low < 2


@given(st.lists(st.integers(0, 10**6), min_size=6, max_size=20, unique=True))
def test_paired_interval_holds_just_the_ratios_that_wilcoxons_test_does_not_reject(drawn: list[int]) -> None:
    ratios = [math.exp(number / 1e6) for number in drawn]
    found = stats.paired_ratio_interval([[ratio] for ratio in ratios], [[1.0]] * len(ratios))
    logs, low, high = np.log(ratios), math.log(found.low), math.log(found.high)
    means = np.sort([(logs[i] + logs[j]) / 2 for i in range(len(logs)) for j in range(i + 1)])
    for end, outside, inside in (
        (low, means < low - 1e-9, means > low + 1e-9),
        (high, means > high + 1e-9, means < high - 1e-9),
    ):
        # Between neighbouring averages the test's answer is the same; it is asked in the gaps beside the end.
        beyond = means[outside][np.abs(means[outside] - end).argmin()] if outside.any() else 2 * end - (low + high) / 2
        within = means[inside][np.abs(means[inside] - end).argmin()]
        pvalue = [reference.wilcoxon(logs - (end + other) / 2, method="exact").pvalue for other in (beyond, within)]
        assert pvalue[0] <= 0.05 < pvalue[1]
    assert found.low <= found.value <= found.high
    assert found.attained


def test_signed_rank_margins_are_those_of_the_published_table() -> None:
    # Critical values of Wilcoxon's statistic, two-sided 5 %: 0, 2, 3, 5, 8, 52 for n = 6, 7, 8, 9, 10, 20.
    assert [stats.signed_rank_margin(n) - 1 for n in (6, 7, 8, 9, 10, 20)] == [0, 2, 3, 5, 8, 52]
    assert stats.signed_rank_margin(5) == 0
    assert not stats.paired_ratio_interval([[1.0]] * 5, [[1.0]] * 5).attained


@pytest.mark.parametrize(
    "call",
    [
        lambda: stats.quantile_interval([], 0.5),
        lambda: stats.quantile_interval([1.0, 2.0], 0.5, [1]),
        lambda: stats.wilson_interval(0, 0),
        lambda: stats.wilson_interval(3, 2),
        lambda: stats.paired_ratio_interval([], []),
        lambda: stats.paired_ratio_interval([[1.0]] * 2, [[1.0]] * 3),
    ],
)
def test_impossible_questions_are_refused(call: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        call()  # type: ignore[operator]


def test_relative_width_of_nothing_is_infinite() -> None:
    assert stats.Bounds(0.0, 0.0, 1.0).relative_width == math.inf
