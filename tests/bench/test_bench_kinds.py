"""Rows whose label is a score, a tag a token or an answer: kept, run and decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.runner.scoring import best_span, decode_rows, predict_all

ROWS = [[2, 5, 6, 3], [2, 7, 3], [2, 5, 3, 6, 7, 8, 3]]
STARTS = [[-1, 0, 3, -1], [-1, 0, -1], [-1, -1, -1, 0, 2, 4, -1]]
LABELS: dict[str, Any] = {
    "class": [0, 1, 2],
    "value": [0.5, -1.25, 3.0],
    "tags": [tag for row in STARTS for tag in (-100 if start < 0 else 1 for start in row)],
    "span": [[1, 2], [0, 0], [3, 5]],
}


def make(kind: str) -> EvaluationSet:
    offsets = np.cumsum([0, *map(len, ROWS)])
    starts = np.concatenate(STARTS)
    placed = {"starts": starts, "ends": np.where(starts < 0, -1, starts + 2)} if kind in ("tags", "span") else {}
    return EvaluationSet(np.concatenate(ROWS), offsets, LABELS[kind], ["a", "b", "b"], kind, **placed)


@pytest.mark.parametrize("kind", LABELS)
def test_every_kind_is_saved_and_loaded(kind: str, tmp_path: Path) -> None:
    examples = make(kind)
    examples.save(tmp_path / "dev.npz")
    again = EvaluationSet.load(tmp_path / "dev.npz")
    assert again.kind == kind
    for name in ("input_ids", "offsets", "labels", "ids", "starts", "ends"):
        one, two = getattr(examples, name), getattr(again, name)
        assert (one is None and two is None) or (one.dtype == two.dtype and np.array_equal(one, two))
    assert again.labels.dtype == (np.float32 if kind == "value" else np.int64)


def test_a_file_of_before_there_were_kinds_is_of_kind_class(tmp_path: Path) -> None:
    np.savez(tmp_path / "old.npz", input_ids=[1, 2], offsets=[0, 1, 2], labels=[0, 1], ids=["a", "b"])
    old = EvaluationSet.load(tmp_path / "old.npz")
    assert (old.kind, old.starts, old.labels.tolist()) == ("class", None, [0, 1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "image"}, "unknown kind 'image'"),
        ({"labels": [0, 1, 2]}, "3 labels"),
        ({"starts": None}, "'starts' does not fit a set of kind 'tags'"),
        ({"ends": [1, 2]}, "'ends' does not fit"),
        ({"kind": "class", "labels": [0, 1, 2]}, "'starts' does not fit a set of kind 'class'"),
        ({"kind": "span", "labels": [0, 1, 2]}, "3 labels"),
    ],
)
def test_arrays_that_do_not_fit_the_kind_are_refused(changes: dict[str, Any], words: str) -> None:
    examples = make("tags")
    names = ("input_ids", "offsets", "labels", "ids", "kind", "starts", "ends")
    with pytest.raises(RunnerError, match=words):
        EvaluationSet(**{name: getattr(examples, name) for name in names} | changes)


def logits_of(kind: str, length: int, seed: int = 0) -> np.ndarray:
    shape = {"class": (3, 4), "value": (3, 1), "tags": (3, length, 5), "span": (3, length, 2)}[kind]
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("kind", ["tags", "span"])
def test_what_stands_in_padding_does_not_count(kind: str) -> None:
    examples, logits = make(kind), logits_of(kind, 7)
    found = decode_rows(kind, logits, examples, [0, 1, 2])
    for row, length in enumerate(map(len, ROWS)):
        logits[row, length:] = 1e9
    padded = np.concatenate([logits, np.full_like(logits, 1e9)], axis=1)
    assert decode_rows(kind, logits, examples, [0, 1, 2]) == found
    assert decode_rows(kind, padded, examples, [0, 1, 2]) == found
    assert [len(tags) for tags in found] == ([4, 3, 7] if kind == "tags" else [3, 3, 3])


def test_one_output_a_row() -> None:
    classes, values = logits_of("class", 7), logits_of("value", 7)
    assert decode_rows("class", classes, make("class"), [0, 1, 2]) == classes.argmax(1).tolist()
    assert decode_rows("value", values, make("value"), [2, 0, 1]) == pytest.approx(values[:, 0].tolist())


@given(st.integers(1, 80), st.integers(0, 2**32 - 1))
def test_the_best_answer_is_the_best_of_all_that_are_allowed(tokens: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    starts, ends = generator.normal(size=(2, tokens))
    allowed = generator.random(tokens) < 0.6
    allowed[generator.integers(tokens)] = True
    first, last, score = best_span(starts, ends, allowed)
    pairs = [(i, j) for i in range(tokens) for j in range(i, min(tokens, i + 30)) if allowed[i] and allowed[j]]
    assert (first, last) in pairs
    assert score == pytest.approx(max(starts[i] + ends[j] for i, j in pairs))


def test_an_answer_has_up_to_30_tokens() -> None:
    starts, ends, allowed = np.zeros(40), np.zeros(40), np.ones(40, dtype=bool)
    starts[2], ends[31], ends[32] = 9, 5, 6
    assert best_span(starts, ends, allowed) == [2, 31, 14.0]


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("class", (3, 1)),
        ("class", (3, 7, 4)),
        ("value", (3, 2)),
        ("tags", (3, 4)),
        ("tags", (3, 6, 5)),
        ("span", (3, 7, 3)),
    ],
)
def test_logits_of_another_shape_are_one_line(kind: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(RunnerError, match=f"which is nothing of kind '{kind}'; export it for this task again"):
        decode_rows(kind, np.zeros(shape), make(kind), [0, 1, 2])


def make_token_file(path: Path, outputs: list[str]) -> Path:
    """Writes an ONNX file that looks two numbers a token up, as `logits` or one by one."""
    table = np.arange(40, dtype=np.float32).reshape(20, 2)
    split = outputs != ["logits"]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["found" if split else "logits"])]
    if split:
        nodes.append(helper.make_node("Split", ["found"], ["s", "e"], axis=2, num_outputs=2))
        nodes += [
            helper.make_node("Squeeze", [part, "last"], [name])
            for part, name in (("s", "start_logits"), ("e", "end_logits"))
        ]
    shape: list[Any] = ["batch", "sequence", *([] if split else [2])]
    graph = helper.make_graph(
        nodes,
        "tokens",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in ("input_ids",)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in outputs],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([2], dtype=np.int64), "last")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.mark.parametrize("outputs", [["logits"], ["start_logits", "end_logits"], ["end_logits", "start_logits"]])
def test_start_and_end_are_stacked_whatever_their_order(outputs: list[str], tmp_path: Path) -> None:
    runtime = runtimes.create("onnxruntime", str(make_token_file(tmp_path / "a.onnx", outputs)), 1)
    ids = np.array([[3, 4, 5], [6, 7, 0]])
    assert runtime.run(ids, np.ones_like(ids)).tolist() == [[[2 * n, 2 * n + 1] for n in row] for row in ids.tolist()]
    assert runtime.bind(ids, np.ones_like(ids))() is not None


class Signature:
    """A signature runner of a fixed length that answers two numbers a token, with rubbish after the last."""

    def __init__(self, length: int, names: list[str]) -> None:
        self.length, self.names = length, names

    def get_input_details(self) -> dict[str, dict[str, Any]]:
        return {name: {"dtype": np.int64} for name in ("input_ids", "attention_mask")}

    def __call__(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> dict[str, np.ndarray]:
        assert input_ids.shape == (1, self.length)
        both = np.stack([input_ids, input_ids + 0.5], axis=-1)
        both[attention_mask == 0] = 77
        return (
            {"logits": both} if self.names == ["logits"] else {"end_logits": both[..., 1], "start_logits": both[..., 0]}
        )


@pytest.mark.parametrize("names", [["logits"], ["start_logits", "end_logits"]])
def test_a_padded_signature_gives_back_the_length_asked_for(names: list[str]) -> None:
    litert = pytest.importorskip("edgedistil.bench.runner.runtimes.litert")
    model = litert.LiteRtModel.__new__(litert.LiteRtModel)
    model._lengths = {4: "length_4", 16: "length_16"}
    model._runners = {length: Signature(length, names) for length in (4, 16)}
    ids = np.array([[1, 2, 3, 0, 0, 0], [1, 2, 3, 4, 5, 6]])
    found = model.run(ids, (ids > 0).astype(np.int64))
    assert found.shape == (2, 6, 2)
    assert found[1].tolist() == [[n, n + 0.5] for n in (1, 2, 3, 4, 5, 6)]
    assert found[0, :3].tolist() == [[n, n + 0.5] for n in (1, 2, 3)]


def test_every_row_is_answered_in_the_sets_own_order(tmp_path: Path) -> None:
    runtime = runtimes.create(
        "onnxruntime", str(make_token_file(tmp_path / "a.onnx", ["start_logits", "end_logits"])), 1
    )
    examples = make("span")
    alone = predict_all(runtime, examples, 1, lambda done: None)
    assert predict_all(runtime, examples, 3, lambda done: None) == alone
    # The largest number of both sides is the largest allowed token: 6, then 7, then 8.
    assert alone == [[2, 2, 25.0], [1, 1, 29.0], [5, 5, 33.0]]
