"""Structured Optimal Brain Surgeon: which block of columns to remove next, and how the rest makes up for it.

The step is ZipLM's (Kurtic et al. 2023, arXiv 2302.04089, section 3.1, equations 2 to 4), after Hassibi and Stork
(1993), on the covariance of the inputs instead of their Gram matrix, so that the bias makes up for it too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edgedistil.errors import UsageError
from edgedistil.prune.curve import Curve

_COMPACT_BELOW = 0.8
# What is added where a Hessian is not positive definite: shares of its mean diagonal, each ten times the last.
_EXTRA = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def factored(hessian: Tensor, index: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns a Hessian, damped further where it needs to be, and the Cholesky factor of it or of a part.

    Sums in fp32 of inputs whose mean is far larger than their spread, or too little damping, leave one that is not
    positive definite. Both sides of a least squares must see the same damping, or it pulls the weight towards 0.

    Args:
        hessian: Damped second moments of the inputs, [columns, columns].
        index: Rows and columns of the part; None for all.

    Raises:
        UsageError: When no damping makes it positive definite: it holds numbers that are not finite.
    """
    scale = hessian.diagonal().abs().mean()
    for share in _EXTRA:
        damped = hessian + torch.diag((share * scale).expand(len(hessian))) if share else hessian
        factor, failed = torch.linalg.cholesky_ex(damped if index is None else damped[index[:, None], index])
        if not int(failed):
            return damped, factor
    raise UsageError(
        "what enters a layer on the calibration text has no variance that can be pruned by",
        where="prune",
        cure="check that the model's weights are finite, or choose prune.score: magnitude",
    )


def _inverse(matrix: Tensor) -> Tensor:
    return torch.cholesky_inverse(factored(matrix)[1])


def _block_errors(weight: Tensor, inverse: Tensor, blocks: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Returns what the removal of each of some equally wide blocks costs, and its (H^-1[S, S])^-1.

    Args:
        weight: Current weight, [rows, columns].
        inverse: Current inverse Hessian, [columns, columns].
        blocks: The columns of each block.

    Returns:
        Errors, [blocks], and inverses, [blocks, width, width].
    """
    columns = torch.tensor([list(block) for block in blocks], device=weight.device)
    inner = torch.linalg.inv(inverse[columns[:, :, None], columns[:, None, :]])
    parts = weight[:, columns].transpose(0, 1)
    return ((parts @ inner) * parts).sum((1, 2)), inner


def _cheapest(
    weight: Tensor, inverse: Tensor, blocks: Sequence[Sequence[int]], alive: Sequence[int]
) -> tuple[int, float, Tensor]:
    """Returns the living block whose removal costs least, that cost, and its (H^-1[S, S])^-1."""
    best: tuple[int, float, Tensor] | None = None
    # Only the last block may be narrower than the others: at most two groups of equal width.
    for width in sorted({len(blocks[number]) for number in alive}):
        group = [number for number in alive if len(blocks[number]) == width]
        errors, inner = _block_errors(weight, inverse, [blocks[number] for number in group])
        place = int(errors.argmin())
        if best is None or float(errors[place]) < best[1]:
            best = (group[place], float(errors[place]), inner[place])
    if best is None:
        raise ValueError("no block is left to remove")
    return best


def _compact(
    weight: Tensor, inverse: Tensor, places: Sequence[Sequence[int]], alive: Sequence[int]
) -> tuple[Tensor, Tensor, list[Sequence[int]]]:
    """Drops the columns of removed blocks, which every later step would otherwise compute in vain."""
    columns = [column for number in alive for column in places[number]]
    index = torch.tensor(columns, dtype=torch.long, device=weight.device)
    moved: list[Sequence[int]] = [range(0)] * len(places)
    start = 0
    for number in alive:
        moved[number] = range(start, start + len(places[number]))
        start += len(places[number])
    return weight[:, index], inverse[index[:, None], index], moved


def obs_curve(weight: Tensor, hessian: Tensor, blocks: Sequence[Sequence[int]]) -> Curve:
    """Removes block after block, always the one that costs least, and records the error at every level.

    For a block S it costs trace(W[:, S] (H^-1[S, S])^-1 W[:, S]^T); then W -= W[:, S] (H^-1[S, S])^-1 H^-1[S, :]
    and H^-1 is downdated by the same rule, which leaves in it the inverse of H without S.

    Args:
        weight: The Linear's weight W, [rows, columns].
        hessian: H, the damped second moments of its inputs, [columns, columns], positive definite.
        blocks: The columns of each block; together all columns.

    Returns:
        The order of removal and the cumulative squared error E |W x - W' x|^2 at each level, damping included.

    Raises:
        UsageError: When H holds numbers that are not finite.
    """
    weight, inverse = weight.double().clone(), _inverse(hessian.double())
    order: list[int] = []
    errors = [0.0]
    alive = list(range(len(blocks)))
    places = list(blocks)
    while alive:
        block, error, inner = _cheapest(weight, inverse, places, alive)
        columns = torch.tensor(list(places[block]), device=weight.device)
        step = inner @ inverse[columns]
        weight.addmm_(weight[:, columns], step, alpha=-1)
        inverse.addmm_(inverse[:, columns], step, alpha=-1)
        alive.remove(block)
        order.append(block)
        errors.append(errors[-1] + max(error, 0.0))
        if sum(len(places[number]) for number in alive) < _COMPACT_BELOW * weight.shape[1]:
            weight, inverse, places = _compact(weight, inverse, places, alive)
    return Curve(tuple(order), tuple(errors))


def least_squares(weight: Tensor, hessian: Tensor, kept: Sequence[int]) -> Tensor:
    """Returns the weight with only some columns whose output is nearest to the whole weight's.

    It is where the steps of `obs_curve` arrive, in one solve: W[:, K]' = W H[:, K] (H[K, K])^-1.

    Args:
        weight: The whole weight, [rows, columns].
        hessian: The damped second moments of the inputs, [columns, columns].
        kept: The columns to keep.

    Returns:
        [rows, columns] in fp64, zero in every other column.

    Raises:
        UsageError: When the moments hold numbers that are not finite.
    """
    weight, hessian = weight.double(), hessian.double()
    best = torch.zeros_like(weight)
    if kept:
        index = torch.tensor(list(kept), device=weight.device)
        hessian, inner = factored(hessian, index)
        best[:, index] = torch.cholesky_solve((weight @ hessian[:, index]).T, inner).T
    return best
