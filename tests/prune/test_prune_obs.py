from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgedistil.errors import UsageError
from edgedistil.prune.moments import Moments
from edgedistil.prune.obs import least_squares, obs_curve


def problem(seed: int, columns: int, rows: int = 5, tokens: int = 400) -> tuple[Tensor, Tensor]:
    """A weight and correlated inputs with a mean that is not zero."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(columns, columns, generator=generator, dtype=torch.float64)
    inputs = torch.randn(tokens, columns, generator=generator, dtype=torch.float64) @ mix
    inputs = inputs + torch.randn(columns, generator=generator, dtype=torch.float64) * 3
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64), inputs


def split(columns: int, width: int) -> list[range]:
    return [range(start, min(start + width, columns)) for start in range(0, columns, width)]


def fit(target: Tensor, inputs: Tensor) -> tuple[Tensor, float]:
    """LAPACK's own least squares, and its mean squared error."""
    solution = torch.linalg.lstsq(inputs, target, driver="gelsd").solution
    return solution, float((inputs @ solution - target).square().sum() / len(inputs))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), columns=st.integers(3, 19), width=st.integers(1, 5))
def test_every_level_is_the_exact_least_squares_solution(seed: int, columns: int, width: int) -> None:
    weight, inputs = problem(seed, columns)
    hessian = inputs.T @ inputs / len(inputs)
    blocks = split(columns, width)
    curve = obs_curve(weight, hessian, blocks)
    target = inputs @ weight.T
    scale = float(target.square().sum() / len(inputs))
    assert sorted(curve.order) == list(range(len(blocks)))
    for level, error in enumerate(curve.errors):
        kept = [column for block in curve.kept(level) for column in blocks[block]]
        updated = least_squares(weight, hessian, kept)
        true_error = float((inputs @ (updated - weight).T).square().sum() / len(inputs))
        assert error == pytest.approx(true_error, rel=1e-6, abs=1e-8 * scale)
        if kept:
            solution, best = fit(target, inputs[:, kept])
            torch.testing.assert_close(updated[:, kept], solution.T, rtol=1e-6, atol=1e-6)
            assert error == pytest.approx(best, rel=1e-6, abs=1e-8 * scale)
        else:
            assert error == pytest.approx(scale, rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), columns=st.integers(4, 12), width=st.integers(1, 3))
def test_every_step_takes_the_cheapest_block(seed: int, columns: int, width: int) -> None:
    weight, inputs = problem(seed, columns)
    hessian = inputs.T @ inputs / len(inputs)
    blocks = split(columns, width)
    curve = obs_curve(weight, hessian, blocks)
    target = inputs @ weight.T
    scale = float(target.square().sum() / len(inputs))
    for level in range(len(blocks)):
        errors = []
        for victim in curve.order[level:]:
            kept = [c for block in curve.kept(level) if block != victim for c in blocks[block]]
            errors.append(fit(target, inputs[:, kept])[1] if kept else scale)
        assert curve.errors[level + 1] == pytest.approx(min(errors), rel=1e-6, abs=1e-8 * scale)


def test_two_copies_of_a_block_are_one_for_free() -> None:
    weight, inputs = problem(1, 6)
    inputs[:, 4:6] = inputs[:, 0:2]
    hessian = inputs.T @ inputs / len(inputs) + 1e-6 * torch.eye(6, dtype=torch.float64)
    curve = obs_curve(weight, hessian, split(6, 2))
    assert curve.order[0] in (0, 2)
    assert curve.errors[1] < 1e-4 * curve.errors[2]


def test_the_free_bias_is_least_squares_with_an_intercept() -> None:
    weight, inputs = problem(4, 8)
    moments = Moments(torch.zeros(8), torch.zeros(8, 8), torch.zeros(5))
    for part in inputs.float().split(150):
        moments.add(part, torch.ones(len(part), 5), 1)
    curve = obs_curve(weight, moments.covariance(), split(8, 2))
    target = inputs @ weight.T
    with_one = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=torch.float64)], 1)
    for level, error in enumerate(curve.errors):
        kept = [column for block in curve.kept(level) for column in split(8, 2)[block]]
        solution, best = fit(target, with_one[:, [*kept, 8]])
        assert error == pytest.approx(best, rel=1e-3, abs=1e-3)
        new = least_squares(weight, moments.covariance(), kept)
        torch.testing.assert_close((weight - new) @ moments.mean(), solution[-1], rtol=1e-3, atol=1e-3)
        if level and kept:
            assert best < fit(target, inputs[:, kept])[1]


def test_inputs_far_from_0_are_damped_until_they_can_be_solved_for() -> None:
    """Sums in fp32 leave no variance of inputs whose mean is far larger than their spread."""
    weight, inputs = problem(3, 8)
    moments = Moments(torch.zeros(8), torch.zeros(8, 8), torch.zeros(5))
    moments.add(3000 + 0.01 * inputs.float(), torch.ones(len(inputs), 5), 1)
    hessian = moments.covariance(1e-2)
    with pytest.raises(torch.linalg.LinAlgError):
        torch.linalg.cholesky(hessian)
    curve = obs_curve(weight, hessian, split(8, 2))
    assert sorted(curve.order) == [0, 1, 2, 3]
    assert torch.tensor(curve.errors).isfinite().all()
    kept = [0, 1, 4, 5]
    found = least_squares(weight, hessian, kept)[:, kept]
    assert 0.1 < float(found.norm() / weight[:, kept].norm()) < 10


def test_moments_that_are_not_finite_are_refused_in_a_line() -> None:
    weight, inputs = problem(3, 4)
    with pytest.raises(UsageError, match=r"prune: what enters a layer .*; check that the model's weights are finite"):
        obs_curve(weight, (inputs.T @ inputs) * torch.nan, split(4, 2))


def test_compaction_at_width_changes_no_order() -> None:
    weight, inputs = problem(9, 96, rows=7, tokens=2000)
    hessian = inputs.T @ inputs / len(inputs)
    curve = obs_curve(weight, hessian, split(96, 8))
    for level in (3, 6, 9, 11):
        kept = [column for block in curve.kept(level) for column in split(96, 8)[block]]
        difference = inputs @ (least_squares(weight, hessian, kept) - weight).T
        assert curve.errors[level] == pytest.approx(float(difference.square().sum() / len(inputs)), rel=1e-6)


def test_greedy_is_close_to_the_best_of_all_choices() -> None:
    weight, inputs = problem(2, 12)
    hessian = inputs.T @ inputs / len(inputs)
    blocks = split(12, 2)
    curve = obs_curve(weight, hessian, blocks)
    target = inputs @ weight.T
    best = min(
        fit(target, inputs[:, [column for block in kept for column in blocks[block]]])[1]
        for kept in itertools.combinations(range(6), 3)
    )
    assert best - 1e-9 <= curve.errors[3] <= 2 * best
