"""How many blocks each sublayer loses: the least total error whose cost fits a budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgedistil.errors import UsageError

_Floats = npt.NDArray[np.float64]


def _frontier(cost: _Floats, error: _Floats, budget: float, buckets: int) -> npt.NDArray[np.intp]:
    """Returns which partial choices are worth going on with, by rising cost.

    A choice that costs no less and errs no less than another is dropped, which loses nothing. When more than
    `buckets` are left, the budget is cut into that many buckets and each keeps its best choice.
    """
    by_cost = np.lexsort((error, cost))
    best_before = np.minimum.accumulate(error[by_cost])
    better = np.concatenate(([True], error[by_cost][1:] < best_before[:-1]))
    front = by_cost[better]
    if len(front) <= buckets:
        return front
    bucket = np.minimum((cost[front] / budget * buckets).astype(np.int64), buckets - 1)
    # Along the frontier the error falls as the cost rises: the last of a bucket is its best.
    return front[np.flatnonzero(np.append(bucket[1:] != bucket[:-1], True))]


def choose_levels(
    errors: Sequence[Sequence[float]],
    costs: Sequence[Sequence[float]],
    budget: float,
    buckets: int = 4096,
) -> list[int]:
    """Returns one level for each sublayer with the least total error whose total cost is within the budget.

    Dynamic programming over sublayers, in the manner of SPDY (Frantar and Alistarh 2022, arXiv 2201.13096, section
    3.2): the state is what has been spent. It is exact while no more than `buckets` states are worth keeping, and
    always keeps true costs, so that the budget holds whatever is thinned out.

    Args:
        errors: For each sublayer, the error at each level.
        costs: For each sublayer, the cost at each level, not negative: parameters, multiply-accumulates, or
            milliseconds from a device's table.
        budget: The most that the chosen levels may cost together.
        buckets: The most states kept after each sublayer.

    Raises:
        UsageError: When even the cheapest levels cost more than the budget.
        ValueError: When the tables do not fit each other.
    """
    if [len(row) for row in errors] != [len(row) for row in costs]:
        raise ValueError("every sublayer needs as many costs as errors")
    rest = np.append(np.cumsum([min(levels) for levels in reversed(costs)])[::-1], 0.0)
    spent, lost = np.zeros(1), np.zeros(1)
    back: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]] = []
    for number, (error, cost) in enumerate(zip(errors, costs, strict=True)):
        total_cost = (spent[:, None] + np.asarray(cost, dtype=np.float64)).ravel()
        total_error = (lost[:, None] + np.asarray(error, dtype=np.float64)).ravel()
        fits = np.flatnonzero(total_cost + rest[number + 1] <= budget)
        if not len(fits):
            what = f"the budget of {budget:g} is less than the {rest[0]:g} of the smallest model"
            raise UsageError(what, cure="raise the budget")
        front = fits[_frontier(total_cost[fits], total_error[fits], budget, buckets)]
        back.append((front // len(cost), front % len(cost)))
        spent, lost = total_cost[front], total_error[front]
    return _trace(back, int(np.argmin(lost)))


def cheapest(costs: Sequence[Sequence[float]]) -> float:
    """Returns what the cheapest levels cost together."""
    return float(sum(min(levels) for levels in costs))


def _trace(back: Sequence[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]], state: int) -> list[int]:
    levels: list[int] = []
    for origin, level in reversed(back):
        levels.append(int(level[state]))
        state = int(origin[state])
    return levels[::-1]
