"""Which models to measure for a latency table, and the costs that explain their times best."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import lsq_linear

from edgedistil.bench.latency import Shape, Steps, Unit
from edgedistil.bench.measurement import Measurement
from edgedistil.errors import EdgeDistilError

_Floats = npt.NDArray[np.float64]
_HELD_OUT = 3


@dataclass(frozen=True)
class Grid:
    """The widths that a table measures; between them it interpolates. Each rises from 0.

    Attributes:
        attention: Heads.
        ffn: Neurons.
        last_attention: Heads of the last layer.
        last_ffn: Neurons of the last layer.
    """

    attention: tuple[int, ...]
    ffn: tuple[int, ...]
    last_attention: tuple[int, ...]
    last_ffn: tuple[int, ...]


@dataclass(frozen=True)
class Design:
    """A model to be measured: heads and FFN neurons of each layer.

    Attributes:
        heads: Heads of each layer.
        ffn: Neurons of each layer.
        held_out: Checks the table instead of making it.
    """

    heads: tuple[int, ...]
    ffn: tuple[int, ...]
    held_out: bool = False


@dataclass(frozen=True)
class Costs:
    """The solution: the fixed rest and the four curves."""

    rest: float
    attention: Steps
    ffn: Steps
    last_attention: Steps
    last_ffn: Steps


def _rising(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({0, *values}))


def grid_of(shape: Shape, block: int = 32) -> Grid:
    """Returns a coarse grid: one head or two blocks, where a kernel's fixed cost shows, then quarters to the whole.

    Args:
        shape: Of the model.
        block: FFN neurons of one block; widths are whole blocks.
    """

    def neurons(*shares: float) -> set[int]:
        return {max(block, round(shape.ffn * share / block) * block) for share in shares}

    heads = {max(1, round(shape.heads * share)) for share in (0.25, 0.5)}
    attention = _rising({1, shape.heads, *heads})
    ffn = _rising({shape.ffn, min(2 * block, shape.ffn), *neurons(0.25, 0.5)} - {0})
    if not shape.first_token or shape.layers == 1:
        return Grid(attention, ffn, attention, ffn)
    return Grid(attention, ffn, _rising({1, shape.heads}), _rising({shape.ffn}))


def designs(shape: Shape, grid: Grid, seed: int = 0) -> list[Design]:
    """Returns the models to measure: one width at a time changes in all layers but the last, or in the last alone.

    Everything else stays at half, so that each width is measured among its like: a model's weights fill the caches.
    A few random models are held out to check that costs add up.
    """
    heads, neurons = grid.attention[-2] or shape.heads, grid.ffn[-2] or shape.ffn
    inner = shape.layers - 1

    def design(here: tuple[int, int], last: tuple[int, int], *, held_out: bool = False) -> Design:
        return Design((*[here[0]] * inner, last[0]), (*[here[1]] * inner, last[1]), held_out)

    made = [design((0, 0), (0, 0)), design((shape.heads, shape.ffn), (shape.heads, shape.ffn))]
    if inner:
        made += [design((count, neurons), (heads, neurons)) for count in grid.attention]
        made += [design((heads, count), (heads, neurons)) for count in grid.ffn]
    if shape.first_token or not inner:
        made += [design((heads, neurons), (count, neurons)) for count in grid.last_attention]
        made += [design((heads, neurons), (heads, count)) for count in grid.last_ffn]
    return [*dict.fromkeys(made), *_random_designs(shape, seed)]


def _random_designs(shape: Shape, seed: int) -> list[Design]:
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(_HELD_OUT):
        heads = generator.integers(0, shape.heads + 1, size=shape.layers)
        ffn = 32 * generator.integers(0, shape.ffn // 32 + 1, size=shape.layers)
        made.append(Design(tuple(heads.tolist()), tuple(ffn.tolist()), held_out=True))
    return made


def _increments(widths: Sequence[int], counts: Sequence[int]) -> _Floats:
    """Returns how much of each line of a curve some sublayers pass through together, [lines]."""
    row = np.zeros(len(widths) - 1)
    for count in counts:
        for line, (start, end) in enumerate(itertools.pairwise(widths)):
            row[line] += min(max((count - start) / (end - start), 0.0), 1.0)
    return row


def solve(shape: Shape, grid: Grid, models: Sequence[Design], measured: Sequence[float]) -> Costs:
    """Returns the costs whose sums are nearest, in relative error, to what was measured.

    Least squares over the fixed rest and each line's rise, none of them negative: wider is never cheaper.

    Args:
        shape: Of the model.
        grid: The widths of the curves.
        models: What was measured.
        measured: Its cost, in any unit.
    """
    shared = not shape.first_token or shape.layers == 1
    rows = []
    for model in models:
        parts = [
            (grid.attention, model.heads if shared else model.heads[:-1]),
            (grid.ffn, model.ffn if shared else model.ffn[:-1]),
        ]
        if not shared:
            parts += [(grid.last_attention, model.heads[-1:]), (grid.last_ffn, model.ffn[-1:])]
        rows.append(np.concatenate([[1.0], *(_increments(*part) for part in parts)]))
    target = np.asarray(measured, dtype=np.float64)
    matrix = np.asarray(rows) / target[:, None]
    found = lsq_linear(matrix, np.ones(len(target)), bounds=(0, np.inf), method="bvls", tol=1e-14).x
    widths = [grid.attention, grid.ffn, *([] if shared else [grid.last_attention, grid.last_ffn])]
    cuts = np.cumsum([len(steps) - 1 for steps in widths])[:-1]
    curves = [_steps(*part) for part in zip(widths, np.split(found[1:], cuts), strict=True)]
    return Costs(float(found[0]), *(curves * 2 if shared else curves))


def _steps(widths: Sequence[int], rises: _Floats) -> Steps:
    return Steps(widths=list(widths), costs=[0.0, *np.cumsum(rises).tolist()])


def unit_of(measurements: Sequence[Measurement]) -> Unit:
    """Returns what a device's measurements are to be compared in: instructions where it only emulates."""
    return "instructions" if all(made.emulated and made.instructions for made in measurements) else "ms"


def steady_costs(measurements: Sequence[Measurement], unit: Unit) -> list[float]:
    """Returns one cost a measurement of one interleaved session, robust to whatever else the machine does.

    A neighbour that takes the core for a time slice adds it to most inferences, to more of a long model's than of a
    short one's, so that medians no longer add up; the fastest inference is one that nobody disturbed. Each file's cost
    is its fastest, times one factor for all: the median, over the files, of median by fastest.

    Raises:
        EdgeDistilError: When a measurement has no such cost.
    """
    if unit == "instructions":
        return [float((made.instructions or {})["total"]) for made in measurements]
    if any(not made.samples_ms for made in measurements):
        raise EdgeDistilError("a measurement has neither times nor instructions", where=measurements[0].name)
    fastest = np.array([min(made.samples_ms) for made in measurements])
    middle = np.array([np.median(made.samples_ms) for made in measurements])
    costs: list[float] = (fastest * np.median(middle / fastest)).tolist()
    return costs
