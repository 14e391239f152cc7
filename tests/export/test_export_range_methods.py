"""Each way to choose a range, against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistil.export.range_methods import BINS, METHODS, entropy_limit, find_ranges, mse_range, percentile_range


def squared_error(values: np.ndarray, low: float, high: float) -> float:
    """Returns the mean squared error of values that 256 numbers from low to high stand for."""
    step = (high - low) / 255
    zero = np.round(-low / step)
    seen = (np.clip(np.round(values / step) + zero, 0, 255) - zero) * step
    return float(np.square(seen - values).mean())


def test_a_percentile_leaves_a_lone_value_out():
    counts = np.zeros(2048)
    counts[1000:1048] = 10_000
    counts[-1] = 1
    low, high = percentile_range(counts, (-1.0, 1.0))
    assert low == pytest.approx(-24 / 1024)
    assert high == pytest.approx(24 / 1024)


def test_entropy_clips_a_lone_value_and_keeps_an_even_spread():
    even = np.full(2048, 100)
    assert entropy_limit(even, 4.0) == 4.0
    lone = (1e6 * np.exp(-np.arange(2048) / 60)).astype(np.int64)
    lone[-1] = 1
    assert 0.5 < entropy_limit(lone, 4.0) < 3.0


def test_the_least_error_keeps_an_even_spread_and_cuts_a_tail():
    assert mse_range(np.full(BINS, 100), (-1.0, 3.0)) == (-1.0, 3.0)
    normal = np.random.default_rng(0).normal(size=2_000_000)
    low, high = find_ranges("mse", lambda: iter([{"x": normal}]))["x"]
    # Of a normal variable 8 bits err least when they end at 3.92 deviations (ACIQ, Banner et al., arXiv 1810.05723).
    assert -low == pytest.approx(3.9, abs=0.25)
    assert high == pytest.approx(3.9, abs=0.25)


def test_the_least_error_keeps_one_huge_value_where_percentiles_cut_it():
    values = np.concatenate([np.random.default_rng(0).normal(size=100_000), [60.0, 60.0]])
    found = {name: find_ranges(name, lambda: iter([{"x": values}]))["x"] for name in METHODS}
    assert found["percentile"][1] < 10.0
    assert found["mse"][1] > 30.0
    errors = {name: squared_error(values, *ends) for name, ends in found.items()}
    assert min(errors, key=errors.__getitem__) == "mse"


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**16),
    skew=st.floats(-0.8, 0.8),
    tail=st.floats(0.3, 3.0),
    rows=st.integers(1, 4),
)
def test_no_method_errs_less_but_for_what_a_histogram_hides(seed: int, skew: float, tail: float, rows: int):
    draw = np.random.default_rng(seed)
    parts = [np.sign(x := draw.normal(size=4000) + skew) * np.abs(x) ** (1 + tail) for _ in range(rows)]
    found = {name: find_ranges(name, lambda: ({"x": part} for part in parts))["x"] for name in METHODS}
    errors = {name: squared_error(np.concatenate(parts), *ends) for name, ends in found.items()}
    assert found["minmax"] == (min(0.0, np.concatenate(parts).min()), max(0.0, np.concatenate(parts).max()))
    assert errors["mse"] <= 1.06 * min(errors.values())


@pytest.mark.parametrize("method", list(METHODS))
def test_values_of_one_sign_have_zero_at_an_end(method: str):
    values = np.random.default_rng(0).exponential(size=50_000)
    low, high = find_ranges(method, lambda: iter([{"up": values, "down": -values}]))["up"]
    assert low == 0.0 < high
    low, high = find_ranges(method, lambda: iter([{"up": values, "down": -values}]))["down"]
    assert low < 0.0 == high
