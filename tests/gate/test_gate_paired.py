"""The paired bootstrap of scores that are no accuracy: its level, its bounds, and what it asks for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistil.bench.bootstrap import FloatArray
from edgedistil.gate.paired import Paired, compare_scores
from edgedistil.gate.statistics import Pairs, tango_lower


def mean(sums: FloatArray) -> FloatArray:
    return sums[..., 0] / sums[..., 1]


def micro_f1(sums: FloatArray) -> FloatArray:
    return 2 * sums[..., 0] / np.maximum(2 * sums[..., 0] + sums[..., 1] + sums[..., 2], 1e-9)


def with_ones(values: FloatArray) -> FloatArray:
    return np.stack([values, np.ones(len(values))], axis=1)


SCORES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=40)


def compared(scores: list[tuple[float, float]]) -> Paired:
    old, new = np.array(scores).T
    return compare_scores(with_ones(old), with_ones(new), mean)


@given(SCORES)
@settings(max_examples=30, deadline=None)
def test_the_bounds_hold_the_difference_and_mirror_each_other(scores: list[tuple[float, float]]) -> None:
    made, turned = compared(scores), compared([(new, old) for old, new in scores])
    assert made.lower() <= made.difference <= made.upper()
    assert made.difference == pytest.approx(made.new - made.old, abs=1e-9)
    # Turned about, only the floors differ: what may be lost is the score, what may be gained the rest.
    assert turned.distribution.bound(0.95) == pytest.approx(-made.distribution.bound(0.05), abs=1e-9)
    assert made.lower(0.975) <= made.lower(0.95)


@given(st.integers(20, 400), st.floats(0.5, 1.0))
@settings(max_examples=20, deadline=None)
def test_two_files_alike_are_not_alike_for_certain(count: int, score: float) -> None:
    """A bootstrap of no differences is a point; the bound is nearly Tango's, on the share that can be lost."""
    made = compared([(score, score)] * count)
    assert made.difference == 0
    assert made.lower() == pytest.approx(score * tango_lower(Pairs(count, 0, 0)), rel=0.2)
    assert made.upper() == pytest.approx(made.unseen * (1 - score))


def test_only_the_same_examples_make_the_difference_small() -> None:
    generator = np.random.default_rng(0)
    old = generator.random(500)
    new = np.clip(old + generator.normal(0, 0.01, 500), 0, 1)
    paired = compare_scores(with_ones(old), with_ones(new), mean)
    shuffled = compare_scores(with_ones(old), with_ones(generator.permutation(new)), mean)
    assert paired.upper() - paired.lower() < 0.3 * (shuffled.upper() - shuffled.lower())


def _posts(generator: np.random.Generator, count: int) -> FloatArray:
    return np.where(generator.random(count) < 0.6, 1.0, generator.random(count))


def test_a_loss_of_the_whole_margin_passes_one_time_in_twenty() -> None:
    generator, margin, passed = np.random.default_rng(1), 0.05, 0
    for _ in range(200):
        old = _posts(generator, 300)
        changed = np.where(generator.random(300) < 0.2, _posts(generator, 300), old)
        # Of a mean of 0.8, this share answered worthlessly loses just the margin.
        new = np.where(generator.random(300) < margin / 0.8, 0.0, changed)
        passed += compare_scores(with_ones(old), with_ones(new), mean).lower() > -margin
    # Two standard errors of 200 trials beyond the 5.0 % that 1,500 trials gave.
    assert passed / 200 < 0.081


def test_a_micro_f1_keeps_its_level_too() -> None:
    generator, margin, passed = np.random.default_rng(2), 0.05, 0
    for _ in range(200):
        entities = generator.integers(0, 4, 150)
        old_hits = generator.binomial(entities, 0.8)
        # As many are found wrongly as are missed, so that F1 is the share of hits: 0.8, and 0.75.
        new_hits = generator.binomial(old_hits, 0.75 / 0.8)
        old, new = (np.stack([hits, entities - hits, entities - hits], axis=1) for hits in (old_hits, new_hits))
        passed += compare_scores(old.astype(float), new.astype(float), micro_f1).lower() > -margin
    assert passed / 200 < 0.081


def test_the_examples_asked_for_do_settle_it() -> None:
    generator = np.random.default_rng(3)
    old = _posts(generator, 100)
    new = np.where(generator.random(100) < 0.3, generator.permutation(old), old)
    made = compare_scores(with_ones(old), with_ones(new), mean)
    margin = 0.02 - made.difference
    needed = made.examples_to_settle(margin)
    assert needed is not None
    assert not made.lower() > -margin
    times = -(-needed // 100)
    many = compare_scores(*(with_ones(np.tile(values, times)) for values in (old, new)), mean)
    assert many.lower() > -margin


def test_a_loss_of_exactly_the_margin_can_never_be_settled() -> None:
    assert compared([(1.0, 0.5), (1.0, 1.0)] * 50).examples_to_settle(0.25) is None
