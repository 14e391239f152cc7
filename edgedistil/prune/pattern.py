"""Block-structured patterns inside a weight matrix: whole rows or columns of each block go, the matrix keeps its size.

Li et al. 2020 (arXiv 2009.08065, section 3.2): a matrix is cut into blocks, and in each block the rows (or columns) of
smallest norm are set to 0. A dense kernel multiplies by these zeros as by anything else; what they gain is the size of
a compressed file, and speed only in a runtime with a kernel for them. LiteRT has such kernels for blocks of 1 x 4 and
1 x 16, but not those it uses by default: `benchmarks/block_sparse.py` shows that nothing is gained by them.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from edgedistil.errors import UsageError
from edgedistil.models.modelling import EdgeBertForSequenceClassification

Along = Literal["rows", "columns"]
_GAIN = 1.05


@dataclass(frozen=True)
class Partition:
    """How a matrix is cut into blocks, and what goes in each.

    Attributes:
        rows: Rows of one block; the last may be lower.
        columns: Columns of one block; the last may be narrower.
        along: `rows` removes rows of each block, `columns` columns.

    Raises:
        UsageError: When a block has no rows or columns, or there is no such direction.
    """

    rows: int
    columns: int
    along: Along = "rows"

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 1:
            raise UsageError(f"a block of {self.rows} x {self.columns} holds nothing", cure="give at least 1 x 1")
        if self.along not in ("rows", "columns"):
            raise UsageError(f"a block has no '{self.along}'", cure="choose rows or columns")


def parse_partition(block: str, along: str) -> Partition:
    """Reads a partition as it is typed: `64x32` and `rows`.

    Raises:
        UsageError: When it is no such thing.
    """
    rows, times, columns = block.partition("x")
    if not (times and rows.isdecimal() and columns.isdecimal()):
        raise UsageError(f"'{block}' is no block", where="--block", cure="give rows and columns, such as 64x32")
    return Partition(int(rows), int(columns), along)  # type: ignore[arg-type]


def pattern_mask(weight: Tensor, partition: Partition, sparsity: float) -> Tensor:
    """Returns which weights stay, [rows, columns], bool: in each block, all but the rows or columns of smallest norm.

    Args:
        weight: The matrix, [rows, columns].
        partition: How it is cut.
        sparsity: Share of each block's rows or columns that go, 0 to 1; rounded to whole ones.

    Raises:
        UsageError: When the sparsity is no share.
    """
    if not 0 <= sparsity <= 1:
        raise UsageError(f"a sparsity of {sparsity:g} is not a share", cure="give a number from 0 to 1")
    mask = torch.ones_like(weight, dtype=torch.bool)
    for top in range(0, weight.shape[0], partition.rows):
        for left in range(0, weight.shape[1], partition.columns):
            place = (slice(top, top + partition.rows), slice(left, left + partition.columns))
            block = weight[place].detach()
            norms = block.square().sum(1 if partition.along == "rows" else 0)
            gone = norms.argsort(stable=True)[: round(sparsity * len(norms))]
            keep = torch.ones_like(norms, dtype=torch.bool)
            keep[gone] = False
            mask[place] = keep[:, None] if partition.along == "rows" else keep[None, :]
    return mask


def linears_of(model: EdgeBertForSequenceClassification) -> Iterable[tuple[str, nn.Linear]]:
    """Returns the encoder's Linears by name."""
    return [(name, part) for name, part in model.encoder.named_modules() if isinstance(part, nn.Linear)]


def with_pattern(
    model: EdgeBertForSequenceClassification, partition: Partition, sparsity: float
) -> EdgeBertForSequenceClassification:
    """Returns a model of the same size with the pattern set to 0 in every Linear of its encoder.

    Raises:
        UsageError: When the sparsity is no share.
    """
    made = copy.deepcopy(model).eval()
    with torch.no_grad():
        for _, linear in linears_of(made):
            linear.weight.mul_(pattern_mask(linear.weight, partition, sparsity))
    return made


def sparsity_of(model: EdgeBertForSequenceClassification) -> float:
    """Returns the share of zeros among the weights of the encoder's Linears."""
    weights = [linear.weight for _, linear in linears_of(model)]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / max(sum(weight.numel() for weight in weights), 1)


def compressed_bytes(path: Path, level: int = 6) -> int:
    """Returns a file's size under zlib: what a package or a download of it takes."""
    packer = zlib.compressobj(level)
    size = 0
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            size += len(packer.compress(chunk))
    return size + len(packer.flush())


@dataclass(frozen=True)
class PatternResult:
    """What a pattern brings in one format.

    Attributes:
        format: Key of the bundle's formats.
        sparsity: Share of zeros.
        compressed: Of the pattern's file, in bytes.
        compressed_dense: Of the dense model's file.
        cost: Latency of the pattern's file, or instructions.
        cost_dense: Of the dense model's, in the same session; the better of two copies.
        spread: The other copy's over it: what a difference must exceed to be one.
    """

    format: str
    sparsity: float
    compressed: int
    compressed_dense: int
    cost: float
    cost_dense: float
    spread: float = 1.0

    @property
    def speedup(self) -> float:
        """Times faster than the dense file."""
        return self.cost_dense / self.cost

    def line(self) -> str:
        """Says in one line what it brings; a speed within 5 % of the dense one, or within its spread, is no gain."""
        size = f"compressed file {100 * self.compressed / self.compressed_dense:.0f} % of the dense one's"
        speed = (
            f"{self.speedup:.2f}x faster"
            if self.speedup >= max(_GAIN, self.spread)
            else f"no gain here ({self.speedup:.2f}x)"
        )
        return f"{self.format}: {100 * self.sparsity:.0f} % zeros, {size}, {speed}"


def try_pattern(
    model: EdgeBertForSequenceClassification,
    partition: Partition,
    sparsity: float,
    formats: Sequence[str],
    export: Callable[[EdgeBertForSequenceClassification, str, Path], None],
    measure: Callable[[Sequence[EdgeBertForSequenceClassification], str], list[float]],
    folder: Path,
) -> list[PatternResult]:
    """Returns what a pattern brings in each format: zeros, compressed size and speed against the dense model.

    Args:
        model: The dense model.
        partition: How matrices are cut.
        sparsity: Share of each block's rows or columns that go.
        formats: Keys of the bundle's formats.
        export: Writes a model's file: (model, format, path).
        measure: What models cost in a format, in one session: (models, format).
        folder: Where files go.
    """
    sparse = with_pattern(model, partition, sparsity)
    found = []
    for name in formats:
        sizes = []
        for which, each in (("dense", model), ("pattern", sparse)):
            path = folder / f"{which}-{name}"
            export(each, name, path)
            sizes.append(compressed_bytes(path))
        first, cost, second = measure([model, sparse, model], name)
        dense, other = min(first, second), max(first, second)
        found.append(PatternResult(name, sparsity_of(sparse), sizes[1], sizes[0], cost, dense, other / dense))
    return found
