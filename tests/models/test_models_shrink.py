from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import BertForSequenceClassification

from edgedistil.errors import UsageError
from edgedistil.layers import alternate_layers
from edgedistil.models import (
    EdgeBertConfig,
    EdgeBertForSequenceClassification,
    count_macs,
    count_parameters,
    from_checkpoint,
    keep,
    masked,
    save_model,
    take_layers,
)

Batch = tuple[Tensor, Tensor]
kept_heads = st.lists(st.sets(st.integers(0, 3)).map(sorted), min_size=2, max_size=2)
kept_ffn = st.lists(st.sets(st.integers(0, 23)).map(sorted), min_size=2, max_size=2)
SMALL = {
    "vocab_size": 50,
    "hidden_size": 16,
    "head_size": 4,
    "heads": [4, 4],
    "ffn": [24, 24],
    "max_position_embeddings": 12,
    "initializer_range": 0.4,
}


@settings(max_examples=25, deadline=None)
@given(heads=kept_heads, ffn=kept_ffn, seed=st.integers(0, 9))
def test_the_shrunk_model_is_the_masked_one(heads: list[list[int]], ffn: list[list[int]], seed: int) -> None:
    torch.manual_seed(seed)
    model = EdgeBertForSequenceClassification(EdgeBertConfig(**SMALL)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ids = torch.randint(0, 50, (3, 9))
    mask = (torch.arange(9)[None] < torch.tensor([[9], [4], [1]])).long()
    small = keep(model, heads, ffn)
    with torch.no_grad():
        expected = masked(model, heads, ffn)(ids, mask).logits
        torch.testing.assert_close(small(ids, mask).logits, expected, atol=1e-5, rtol=1e-4)
    assert small.config.heads == [len(kept) for kept in heads]
    assert sum(parameter.numel() for parameter in small.parameters()) == count_parameters(small.config).total


def test_keeping_everything_changes_nothing(small_bert: BertForSequenceClassification, batch: Batch) -> None:
    model = from_checkpoint(small_bert)
    same = keep(model, [range(4)] * 4, [range(64)] * 4)
    with torch.no_grad():
        torch.testing.assert_close(same(*batch).logits, model(*batch).logits, atol=0, rtol=0)


def test_a_smaller_model_is_a_smaller_file(small_bert: BertForSequenceClassification, tmp_path: Path) -> None:
    model = from_checkpoint(small_bert)
    small = keep(model, [[0]] * 4, [range(16)] * 4)
    for name, which in (("large", model), ("small", small)):
        save_model(which, tmp_path / name)
    large, less = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("large", "small"))
    saved = count_parameters(model.config).total - count_parameters(small.config).total
    assert large - less == pytest.approx(4 * saved, rel=0.02)


@pytest.mark.parametrize(
    ("heads", "ffn"),
    [([[0]] * 3, [[0]] * 4), ([[0, 0]] + [[1]] * 3, [[0]] * 4), ([[4]] + [[1]] * 3, [[0]] * 4)],
)
def test_lists_that_do_not_fit_are_refused(
    small_bert: BertForSequenceClassification, heads: list[list[int]], ffn: list[list[int]]
) -> None:
    with pytest.raises(ValueError, match="heads kept"):
        keep(from_checkpoint(small_bert), heads, ffn)


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        (12, 6, [1, 3, 5, 7, 9, 11]),
        (6, 3, [1, 3, 5]),
        (12, 4, [2, 5, 8, 11]),
        (6, 4, [0, 2, 3, 5]),
        (6, 1, [5]),
    ],
)
def test_alternate_layers(teacher: int, student: int, expected: list[int]) -> None:
    assert alternate_layers(teacher, student) == expected


@given(teacher=st.integers(1, 48), data=st.data())
def test_alternate_layers_are_even_and_include_the_last(teacher: int, data: st.DataObject) -> None:
    student = data.draw(st.integers(1, teacher))
    layers = alternate_layers(teacher, student)
    steps = [after - before for before, after in zip([-1, *layers], layers, strict=False)]
    assert layers[-1] == teacher - 1
    assert len(layers) == student
    assert max(steps) - min(steps) <= 1
    assert min(steps) >= 1


@pytest.mark.parametrize("student", [0, 7])
def test_a_student_of_impossible_depth_is_refused(student: int) -> None:
    with pytest.raises(UsageError, match=f"a student of {student} layers .*; choose 1 to 6 layers"):
        alternate_layers(6, student)


def test_a_student_has_its_teachers_layers(small_bert: BertForSequenceClassification, batch: Batch) -> None:
    teacher = from_checkpoint(small_bert)
    student = take_layers(teacher, [1, 3])
    small_bert.bert.encoder.layer = torch.nn.ModuleList([small_bert.bert.encoder.layer[i] for i in (1, 3)])
    with torch.no_grad():
        expected = small_bert(*batch).logits
        torch.testing.assert_close(student(*batch).logits, expected, atol=1e-5, rtol=0)
        student.classifier.weight.zero_()
        assert teacher.classifier.weight.abs().sum() > 0


@pytest.mark.parametrize("layers", [[], [4], [-1]])
def test_layers_that_do_not_exist_are_refused(small_bert: BertForSequenceClassification, layers: list[int]) -> None:
    with pytest.raises(UsageError, match="the teacher has layers 0 to 3"):
        take_layers(from_checkpoint(small_bert), layers)


def test_macs_are_those_of_the_matrix_products() -> None:
    config = EdgeBertConfig(**{**SMALL, "heads": [2, 0], "ffn": [0, 5]}, num_labels=3)
    counts = count_macs(config, sequence_length=7)
    width = 2 * 4
    assert counts.attention == (7 * 16 * width * 4 + 2 * 7 * 7 * width, 0)
    assert counts.ffn == (0, 7 * 16 * 5 * 2)
    assert counts.total == counts.blocks + 16 * 16 + 16 * 3
