"""Texts with padding: a file that does not heed its mask, or one of whose signatures differs, does not ship."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from edgedistil.bench.runner import runtimes
from edgedistil.export.padding import check_padded
from edgedistil.export.parity import ParityError, check_parity

POSITIONS = 64


@pytest.mark.parametrize("name", ["onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"])
def test_each_format_holds(world, name: str):
    check_padded(world.files[name], name, world.reference, world.evaluation, POSITIONS)


def test_a_file_that_does_not_heed_its_mask_does_not_hold(world, tmp_path: Path):
    model = onnx.load(world.files["onnx-fp32"])
    for node in model.graph.node:
        node.input[:] = ["everything" if name == "attention_mask" else name for name in node.input]
    one = helper.make_tensor("one", onnx.TensorProto.INT64, [1], [1])
    model.graph.node.insert(0, helper.make_node("Shape", ["attention_mask"], ["shape of mask"]))
    model.graph.node.insert(1, helper.make_node("ConstantOfShape", ["shape of mask"], ["everything"], value=one))
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    check_parity(path, "onnx-fp32", world.reference, world.evaluation)
    with pytest.raises(ParityError, match=r"^ONNX fp32: padded to \d+ tokens, it differs by up to .* ship another"):
        check_padded(path, "onnx-fp32", world.reference, world.evaluation, POSITIONS)


class LastIsNoNumber:
    """The ONNX file, but for the last text of a batch."""

    def __init__(self, model: runtimes.Runtime) -> None:
        self.model = model

    def run(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        found = np.array(self.model.run(input_ids, attention_mask))
        found[-1] = np.nan
        return found

    def close(self) -> None:
        pass


def test_answers_that_are_no_number_do_not_hold(world, monkeypatch: pytest.MonkeyPatch):
    model = runtimes.create("onnxruntime", str(world.files["onnx-fp32"]), 1)
    monkeypatch.setattr(runtimes, "create", lambda *_, **__: LastIsNoNumber(model))
    with pytest.raises(ParityError, match="it differs by up to nan"):
        check_padded(Path("x"), "onnx-fp32", world.reference, world.evaluation, POSITIONS)


class Signatures:
    """The TFLite file, of which one signature is another model's."""

    lengths = (4, 16, 32)

    def __init__(self, model: runtimes.FixedLengths, wrong: int | None) -> None:
        self.model, self.wrong = model, wrong

    def run_at(self, length: int, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        found = self.model.run_at(max(length, 16), input_ids, attention_mask)
        return -found if length == self.wrong else found

    def close(self) -> None:
        pass


@pytest.mark.parametrize("wrong", [None, 4, 16, 32])
def test_every_signature_is_run_also_one_too_short_for_any_text(
    world, monkeypatch: pytest.MonkeyPatch, wrong: int | None
):
    assert world.evaluation.lengths.min() > 4
    model = runtimes.create("litert", str(world.files["tflite-fp32"]), 1)
    monkeypatch.setattr(runtimes, "create", lambda *_, **__: Signatures(model, wrong))
    asked = (Path("x"), "tflite-fp32", world.reference, world.evaluation, POSITIONS)
    if wrong is None:
        check_padded(*asked)
        return
    with pytest.raises(ParityError, match=f"^TFLite fp32: at signature length_{wrong}, it differs"):
        check_padded(*asked)
