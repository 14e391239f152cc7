from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistil.errors import UsageError
from edgedistil.prune.search import choose_levels

Tables = tuple[list[list[float]], list[list[float]]]


@st.composite
def tables(draw: st.DrawFn) -> Tables:
    """Errors and costs of up to four sublayers; real costs, in any order, as a latency table may have them."""
    number = st.floats(0, 10, allow_nan=False)
    errors, costs = [], []
    for _ in range(draw(st.integers(1, 4))):
        levels = draw(st.integers(1, 5))
        errors.append(draw(st.lists(number, min_size=levels, max_size=levels)))
        costs.append(draw(st.lists(number, min_size=levels, max_size=levels)))
    return errors, costs


def total(table: list[list[float]], levels: tuple[int, ...] | list[int]) -> float:
    return sum(row[level] for row, level in zip(table, levels, strict=True))


@settings(max_examples=200, deadline=None)
@given(made=tables(), share=st.floats(0, 1))
def test_the_choice_is_the_best_of_all(made: Tables, share: float) -> None:
    errors, costs = made
    smallest = sum(min(row) for row in costs)
    budget = smallest + share * (sum(max(row) for row in costs) - smallest) + 1e-6
    chosen = choose_levels(errors, costs, budget)
    everything = itertools.product(*(range(len(row)) for row in errors))
    best = min(total(errors, levels) for levels in everything if total(costs, levels) <= budget)
    assert total(costs, chosen) <= budget * (1 + 1e-12)
    assert total(errors, chosen) == pytest.approx(best, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(made=tables(), buckets=st.integers(1, 4), share=st.floats(0, 1))
def test_thinning_never_exceeds_the_budget(made: Tables, buckets: int, share: float) -> None:
    errors, costs = made
    smallest = sum(min(row) for row in costs)
    budget = smallest + share * (sum(max(row) for row in costs) - smallest) + 1e-6
    assert total(costs, choose_levels(errors, costs, budget, buckets)) <= budget * (1 + 1e-12)


def test_thinning_stays_close_to_the_best() -> None:
    errors = [[(level / 20) ** (1 + number % 5) * (number + 1) for level in range(21)] for number in range(12)]
    costs = [[(20 - level) * (3.0 + number % 2 * 0.37) for level in range(21)] for number in range(12)]
    budget = 0.4 * sum(row[0] for row in costs)
    coarse = total(errors, choose_levels(errors, costs, budget, buckets=200))
    assert coarse <= 1.01 * total(errors, choose_levels(errors, costs, budget, buckets=200_000))


def test_a_budget_below_the_smallest_model_is_refused() -> None:
    with pytest.raises(UsageError, match="the budget of 1 is less than the 3 of the smallest model"):
        choose_levels([[0, 1], [0, 1]], [[2, 1], [4, 2]], 1)


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="as many costs as errors"):
        choose_levels([[0, 1]], [[2]], 1)
