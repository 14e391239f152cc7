from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistil.errors import UsageError
from edgedistil.models import EdgeBertForSequenceClassification, save_model
from edgedistil.prune.pattern import (
    Partition,
    PatternResult,
    compressed_bytes,
    parse_partition,
    pattern_mask,
    sparsity_of,
    with_pattern,
)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    block=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    sparsity=st.floats(0, 1),
    along=st.sampled_from(["rows", "columns"]),
)
def test_each_block_loses_its_smallest_rows_or_columns(
    shape: tuple[int, int], block: tuple[int, int], sparsity: float, along: str
) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    mask = pattern_mask(weight, Partition(*block, along), sparsity)  # type: ignore[arg-type]
    for rows, kept_rows in zip(weight.split(block[0]), mask.split(block[0]), strict=True):
        for part, kept in zip(rows.split(block[1], 1), kept_rows.split(block[1], 1), strict=True):
            lines, lasting = (part, kept) if along == "rows" else (part.T, kept.T)
            assert torch.equal(lasting.all(1), lasting.any(1))
            gone = ~lasting.all(1)
            assert int(gone.sum()) == round(sparsity * len(lines))
            norms = lines.square().sum(1)
            if gone.any() and not gone.all():
                assert norms[gone].max() <= norms[~gone].min()


def test_a_pattern_is_sparse_and_packs_smaller(model: EdgeBertForSequenceClassification, tmp_path: Path) -> None:
    sparse = with_pattern(model, Partition(8, 8), 0.5)
    assert sparsity_of(model) == 0
    assert sparsity_of(sparse) == pytest.approx(0.5, abs=0.02)
    save_model(model, tmp_path / "dense")
    save_model(sparse, tmp_path / "sparse")
    dense, packed = (tmp_path / name / "model.safetensors" for name in ("dense", "sparse"))
    assert dense.stat().st_size == pytest.approx(packed.stat().st_size, rel=0.01)
    assert compressed_bytes(packed) < 0.8 * compressed_bytes(dense)


def test_the_line_says_where_nothing_is_gained() -> None:
    same = PatternResult("onnx-int8", 0.5, 60, 100, 10.0, 10.1)
    assert same.line() == "onnx-int8: 50 % zeros, compressed file 60 % of the dense one's, no gain here (1.01x)"
    assert PatternResult("tflite-int8", 0.5, 60, 100, 5.0, 10.0).line().endswith("2.00x faster")
    assert PatternResult("tflite-int8", 0.5, 60, 100, 9.0, 10.0, spread=1.2).line().endswith("no gain here (1.11x)")


def test_bad_patterns_are_one_line() -> None:
    with pytest.raises(UsageError, match="a block of 0 x 4 holds nothing; give at least 1 x 1"):
        Partition(0, 4)
    with pytest.raises(UsageError, match="a block has no 'diagonals'; choose rows or columns"):
        Partition(4, 4, "diagonals")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--block: '64' is no block; give rows and columns, such as 64x32"):
        parse_partition("64", "rows")
    assert parse_partition("64x32", "columns") == Partition(64, 32, "columns")
    with pytest.raises(UsageError, match=r"a sparsity of 1.5 is not a share"):
        pattern_mask(torch.ones(4, 4), Partition(2, 2), 1.5)
