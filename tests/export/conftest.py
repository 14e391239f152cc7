from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny
import torch
from tiny_tokens import LABELS, write_tokens

from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.evaluate import predict_logits
from edgedistil.export.onnx import export_onnx
from edgedistil.export.quantise_onnx import quantise_onnx
from edgedistil.export.quantise_tflite import quantise_tflite
from edgedistil.export.tflite import export_tflite
from edgedistil.models import EdgeBertForSequenceClassification, from_checkpoint, keep

LENGTHS = [16, 32]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class World:
    """A tiny model with unequal layers, real text, and the files made from the model.

    Attributes:
        teacher: Folder with the tokeniser.
        model: 2 heads and 48 neurons, then a layer with no heads and 128 neurons, then one with neither.
        evaluation: Dev text as token ids.
        reference: The model's logits on it.
        files: A file a format.
    """

    teacher: Path
    model: EdgeBertForSequenceClassification
    evaluation: EvaluationSet
    reference: np.ndarray
    files: dict[str, Path]


def unequal_model(teacher: Path, seed: int) -> EdgeBertForSequenceClassification:
    """Returns a pruned model whose weights are large enough that every part of it counts."""
    torch.manual_seed(seed)
    full = from_checkpoint(teacher, LABELS)
    with torch.no_grad():
        for name, value in full.named_parameters():
            if "norm" not in name:
                value.normal_(std=0.2)
    return keep(full, [[0, 2], [], []], [list(range(48)), list(range(128)), []])


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("export")
    teacher = tiny.write_teacher(root / "teacher", layers=3)
    model = unequal_model(teacher, 0)
    evaluation = write_tokens(teacher, root / "dev", 64, 2)
    names = {
        "onnx-fp32": "model.onnx",
        "onnx-int8": "model_quantized.onnx",
        "tflite-fp32": "model.tflite",
        "tflite-int8": "model_int8.tflite",
    }
    files = {name: root / file for name, file in names.items()}
    export_onnx(model, files["onnx-fp32"])
    quantise_onnx(files["onnx-fp32"], files["onnx-int8"])
    export_tflite(model, files["tflite-fp32"], LENGTHS)
    quantise_tflite(files["tflite-fp32"], files["tflite-int8"])
    return World(teacher, model, evaluation, predict_logits(model, evaluation), files)


@pytest.fixture(scope="session")
def other(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Returns the ONNX files of a model that differs in its classifier alone."""
    model = copy.deepcopy(world.model)
    model.classifier.weight.data.neg_()
    folder = tmp_path_factory.mktemp("other")
    files = {"onnx-fp32": folder / "model.onnx", "onnx-int8": folder / "quantised.onnx"}
    export_onnx(model, files["onnx-fp32"])
    quantise_onnx(files["onnx-fp32"], files["onnx-int8"])
    return files


@pytest.fixture(params=["onnxruntime", "openvino"])
def answers_alike(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Callable[[onnx.ModelProto], None]:
    """Returns a check that a changed graph is sound and answers as the fp32 file does, whatever batch and length."""
    pytest.importorskip(request.param)

    def check(model: onnx.ModelProto) -> None:
        path = tmp_path / "changed.onnx"
        onnx.save(model, str(path))
        onnx.checker.check_model(str(path), full_check=True)
        before, after = (runtimes.create(request.param, str(one), 1) for one in (world.files["onnx-fp32"], path))
        for rows, length in (([0], 32), ([0, 1, 2], 16)):
            batch = world.evaluation.batch(rows, length)
            np.testing.assert_allclose(after.run(*batch), before.run(*batch), atol=1e-5)

    return check
