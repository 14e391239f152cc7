"""Files of every head but the classifier of texts: values, tags, spans, joined layers, token types from separators."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny
import torch
from ai_edge_litert.interpreter import Interpreter
from optimum.onnxruntime import (
    ORTModelForQuestionAnswering,
    ORTModelForSequenceClassification,
    ORTModelForTokenClassification,
)

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.evaluate import predict_logits
from edgedistil.export import all as all_module
from edgedistil.export.all import export_all
from edgedistil.export.onnx import export_onnx
from edgedistil.export.padding import check_padded
from edgedistil.export.parity import ParityError, check_parity, first_rows
from edgedistil.export.quantise_onnx import quantise_onnx
from edgedistil.export.quantise_tflite import quantise_tflite
from edgedistil.export.tflite import export_tflite
from edgedistil.models import EdgeBertHeadModel, distilbert_style, from_checkpoint, keep, root_config

SEPARATOR, ROWS = 3, 40
KINDS = {"value": "value", "tags": "tags", "joined": "tags", "span": "span", "pairs": "value"}
PLAIN = ["onnx-fp32", "onnx-int8"]
ALL = [*PLAIN, "tflite-fp32", "tflite-int8"]


@dataclass(frozen=True)
class Made:
    """A pruned model of a head, rows for it, and its files by format.

    Attributes:
        model: Layers of 2 heads and 48 neurons, of none and 128, of 4 and none.
        rows: Pairs of texts as token ids.
        reference: The model's logits on them.
        files: By format; TFLite only where it is asked for.
    """

    model: EdgeBertHeadModel
    rows: EvaluationSet
    reference: np.ndarray
    files: dict[str, Path]


def model_of(name: str, teacher: Path) -> EdgeBertHeadModel:
    heads = {
        "value": {"head": "sequence", "problem": "regression", "labels": ["score"]},
        "tags": {"head": "token", "labels": ["O", "A", "B"]},
        "joined": {"head": "token", "labels": ["O", "A", "B"], "joined_layers": 2},
        "span": {"head": "span"},
        "pairs": {"head": "sequence", "problem": "regression", "labels": ["score"], "separator_token_id": SEPARATOR},
    }
    torch.manual_seed(1)
    full = from_checkpoint(teacher, **heads[name])
    with torch.no_grad():
        for key, value in full.named_parameters():
            if "norm" not in key:
                value.normal_(std=0.2)
    full = full if name == "pairs" else distilbert_style(full)
    return keep(full, [[0, 2], [], [0, 1, 2, 3]], [list(range(48)), list(range(128)), []])


def rows_of(kind: str) -> EvaluationSet:
    """Returns pairs of random texts of 5 to 24 tokens; of a span, the second text may hold the answer."""
    chooser = np.random.default_rng(2)
    rows, starts = [], []
    for first, second in chooser.integers(1, 11, (ROWS, 2)):
        words = chooser.integers(5, 60, first + second)
        rows.append([2, *words[:first], SEPARATOR, *words[first:], SEPARATOR])
        starts += [-1] * (first + 2) + list(range(second)) + [-1]
    total = sum(map(len, rows))
    offsets = np.cumsum([0, *map(len, rows)])
    placed = kind in ("tags", "span")
    labels = {"value": np.zeros(ROWS), "tags": np.zeros(total), "span": np.zeros((ROWS, 2))}
    at = np.array(starts)
    return EvaluationSet(
        np.concatenate(rows),
        offsets,
        labels[kind],
        np.arange(ROWS).astype("<U4"),
        kind,
        at if placed else None,
        np.where(at < 0, -1, at + 1) if placed else None,
    )


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_teacher(tmp_path_factory.mktemp("teacher"), layers=3)


@pytest.fixture(scope="module")
def made(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    found = {}
    for name, kind in KINDS.items():
        folder = tmp_path_factory.mktemp(name)
        model, rows = model_of(name, teacher), rows_of(kind)
        files = {"onnx-fp32": folder / "model.onnx", "onnx-int8": folder / "model_quantized.onnx"}
        export_onnx(model, files["onnx-fp32"])
        quantise_onnx(files["onnx-fp32"], files["onnx-int8"])
        if name in ("joined", "span"):
            files |= {"tflite-fp32": folder / "model.tflite", "tflite-int8": folder / "int8.tflite"}
            export_tflite(model, files["tflite-fp32"], [24])
            quantise_tflite(files["tflite-fp32"], files["tflite-int8"])
        found[name] = Made(model, rows, predict_logits(model, rows), files)
    return found


CASES = [(name, file) for name in KINDS for file in (ALL if name in ("joined", "span") else PLAIN)]


@pytest.mark.parametrize(("name", "file"), CASES)
def test_every_head_holds_in_every_format(made: dict[str, Made], name: str, file: str):
    one = made[name]
    found = check_parity(one.files[file], file, one.reference, one.rows)
    check_padded(one.files[file], file, one.reference, one.rows, one.model.config.max_position_embeddings)
    assert found.examples == ROWS
    assert found.max_abs <= found.tolerance
    assert (found.max_abs > 1e-3) == file.endswith("int8"), "rounding shows, and only there"
    assert found.agreement == 1.0 if name in ("value", "pairs") or file.endswith("fp32") else found.agreement > 0.8


def test_the_separators_make_a_difference(made: dict[str, Made]):
    model = made["pairs"].model
    assert model.config.type_vocab_size == 2
    model.encoder.embeddings.separator, before = None, model.encoder.embeddings.separator
    untyped = predict_logits(model, made["pairs"].rows)
    model.encoder.embeddings.separator = before
    assert np.abs(untyped - made["pairs"].reference).max() > 0.1


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("value", {"logits": ["batch", 1]}),
        ("tags", {"logits": ["batch", "sequence", 3]}),
        ("span", {"start_logits": ["batch", "sequence"], "end_logits": ["batch", "sequence"]}),
    ],
)
def test_outputs_are_named_and_shaped_as_hugging_face_has_them(made: dict[str, Made], name: str, outputs: dict):
    for file in PLAIN:
        graph = onnx.load(made[name].files[file]).graph
        axes = {
            entry.name: [dim.dim_param or dim.dim_value for dim in entry.type.tensor_type.shape.dim]
            for entry in graph.output
        }
        assert axes == outputs


def test_tflite_outputs_are_named_alike(made: dict[str, Made]):
    for name, outputs in (
        ("joined", {"logits": [1, 24, 3]}),
        ("span", {"start_logits": [1, 24], "end_logits": [1, 24]}),
    ):
        runner = Interpreter(model_path=str(made[name].files["tflite-int8"])).get_signature_runner("length_24")
        assert {key: value["shape"].tolist() for key, value in runner.get_output_details().items()} == outputs


@pytest.mark.parametrize(
    ("name", "client"),
    [
        ("value", ORTModelForSequenceClassification),
        ("tags", ORTModelForTokenClassification),
        ("joined", ORTModelForTokenClassification),
        ("span", ORTModelForQuestionAnswering),
    ],
)
def test_optimum_opens_the_folder(made: dict[str, Made], name: str, client: type, tmp_path: Path):
    one = made[name]
    _save_config(one.model, tmp_path)
    shutil.copyfile(one.files["onnx-fp32"], tmp_path / "model.onnx")
    theirs = client.from_pretrained(tmp_path, local_files_only=True)
    ids, mask = (torch.from_numpy(part) for part in one.rows.batch([0, 5, 7], 30))
    found = theirs(input_ids=ids, attention_mask=mask)
    logits = torch.stack([found.start_logits, found.end_logits], -1) if name == "span" else found.logits
    with torch.no_grad():
        expected = one.model(ids, mask).logits
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def _save_config(model: EdgeBertHeadModel, folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(root_config(model)))


def test_a_spans_files_are_made_and_checked_at_their_places(
    made: dict[str, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    one = made["span"]
    found = export_all(one.model, ["onnx-int8", "onnx-fp32"], [24], one.rows, one.reference, tmp_path)
    assert [(file.format, file.failure) for file in found] == [("onnx-fp32", None), ("onnx-int8", None)]
    monkeypatch.setattr(all_module, "PARITY_TOKENS", int(one.rows.offsets[7]) + 1)
    (cut,) = export_all(one.model, ["onnx-fp32"], [24], one.rows, one.reference, tmp_path)
    assert cut.parity is not None
    assert cut.parity.examples == 7


@pytest.mark.parametrize("name", ["tags", "span", "value"])
def test_another_models_file_does_not_hold(made: dict[str, Made], name: str):
    one = made[name]
    answers = {"tags": r"agrees on [\d.]+ % of tags", "span": r"agrees on [\d.]+ % of spans", "value": "differs from"}
    with pytest.raises(ParityError, match=answers[name]) as caught:
        check_parity(one.files["onnx-fp32"], "onnx-fp32", -one.reference, one.rows)
    assert "over 40 texts; ship another format, or report it" in caught.value.line()


def test_a_file_of_another_head_does_not_hold(made: dict[str, Made]):
    with pytest.raises(ParityError) as caught:
        check_parity(made["tags"].files["onnx-fp32"], "onnx-fp32", made["span"].reference, made["span"].rows)
    total = len(made["span"].reference)
    assert caught.value.line() == f"ONNX fp32: it gives logits of shape [{total}, 3], PyTorch [{total}, 2]"


def test_the_first_rows_are_bounded_by_rows_and_by_tokens(made: dict[str, Made]):
    tags, value = made["tags"], made["value"]
    third = int(tags.rows.offsets[3])
    assert len(first_rows(tags.reference, tags.rows, 3, 10**6)) == third
    assert len(first_rows(tags.reference, tags.rows, 99, third)) == third
    assert len(first_rows(tags.reference, tags.rows, 99, third + 1)) == third
    assert len(first_rows(tags.reference, tags.rows, 99, 10**6)) == len(tags.reference)
    assert len(first_rows(tags.reference, tags.rows, 99, 1)) == int(tags.rows.offsets[1])
    assert first_rows(value.reference, value.rows, 3, 10**6).shape == (3, 1)
