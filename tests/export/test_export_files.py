from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from onnx import numpy_helper

from edgedistil.bench.runner import runtimes
from edgedistil.bundle.formats import FORMATS
from edgedistil.export.onnx import export_onnx

ALL = ["onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"]


def run(world, name: str, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    runtime = runtimes.create(FORMATS[name].runtime, str(world.files[name]), threads=1)
    logits = runtime.run(ids.numpy(), mask.numpy())
    runtime.close()
    return torch.from_numpy(logits)


def padded_batch(length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns three rows, padded but for the first."""
    generator = torch.Generator().manual_seed(length)
    lengths = torch.tensor([length, max(1, length // 2), 1])
    mask = (torch.arange(length)[None] < lengths[:, None]).long()
    return torch.randint(5, 60, (3, length), generator=generator) * mask, mask


@pytest.mark.parametrize("length", [1, 2, 7, 16, 31, 32])
def test_onnx_takes_any_batch_and_length(world, length: int):
    ids, mask = padded_batch(length)
    with torch.no_grad():
        expected = world.model(ids, mask).logits
    torch.testing.assert_close(run(world, "onnx-fp32", ids, mask), expected, rtol=1e-4, atol=1e-5)


def test_every_length_up_to_the_longest_runs(world):
    session = onnxruntime.InferenceSession(str(world.files["onnx-fp32"]), providers=["CPUExecutionProvider"])
    for length in range(1, 33):
        ids, mask = padded_batch(length)
        (logits,) = session.run(["logits"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        assert logits.shape == (3, 2)


def test_onnx_inputs_and_output_are_named_and_their_axes_are_free(world):
    graph = onnx.load(world.files["onnx-fp32"]).graph
    axes = {
        entry.name: [dim.dim_param or dim.dim_value for dim in entry.type.tensor_type.shape.dim]
        for entry in [*graph.input, *graph.output]
    }
    assert axes == {"input_ids": ["batch", "sequence"], "attention_mask": ["batch", "sequence"], "logits": ["batch", 2]}


def test_export_leaves_the_model_in_eval_mode(world, tmp_path: Path):
    export_onnx(world.model.train(), tmp_path / "model.onnx")
    assert not any(module.training for module in world.model.modules())


@pytest.mark.parametrize("name", ["tflite-fp32", "tflite-int8"])
def test_tflite_has_a_signature_a_length(world, name: str):
    interpreter = Interpreter(model_path=str(world.files[name]))
    assert interpreter.get_signature_list() == {
        f"length_{length}": {"inputs": ["attention_mask", "input_ids"], "outputs": ["logits"]} for length in (16, 32)
    }
    for length in (16, 32):
        runner = interpreter.get_signature_runner(f"length_{length}")
        shapes = {entry: details["shape"].tolist() for entry, details in runner.get_input_details().items()}
        assert shapes == {"input_ids": [1, length], "attention_mask": [1, length]}
        assert runner.get_output_details()["logits"]["shape"].tolist() == [1, 2]


@pytest.mark.parametrize("length", [1, 9, 16, 17, 32])
def test_tflite_computes_what_the_model_does_with_no_head_and_no_neuron(world, length: int):
    assert (world.model.config.heads, world.model.config.ffn) == ([2, 0, 0], [48, 128, 0])
    ids, mask = padded_batch(length)
    with torch.no_grad():
        expected = world.model(ids, mask).logits
    torch.testing.assert_close(run(world, "tflite-fp32", ids, mask), expected, rtol=1e-4, atol=1e-4)


def test_signatures_share_one_copy_of_the_weights(world):
    # 4 bytes a parameter, once; the rest is graph. A copy a signature would be twice that.
    assert world.files["tflite-fp32"].stat().st_size < 1.9 * 4 * world.model.num_parameters()


def test_in_int8_onnx_every_matrix_and_embedding_is_int8(world):
    graph = onnx.load(world.files["onnx-int8"]).graph
    tables = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 2}
    assert {tensor.data_type for tensor in tables.values()} <= {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    assert [world.model.config.vocab_size, 64] in [list(tensor.dims) for tensor in tables.values()]
    assert len(tables) == len([value for value in world.model.parameters() if value.ndim == 2]) - 1, "types are folded"
    kinds = {node.op_type for node in graph.node}
    assert "MatMulInteger" in kinds or "DynamicQuantizeMatMul" in kinds
    scales = [tensor for tensor in graph.initializer if tensor.name.endswith("_scale") and tensor.dims]
    assert any(numpy_helper.to_array(tensor).size > 1 for tensor in scales), "a scale a channel"


def test_in_int8_tflite_every_matrix_and_embedding_is_int8(world):
    interpreter = Interpreter(model_path=str(world.files["tflite-int8"]))
    kinds = {
        tuple(details["shape"]): details["dtype"].__name__
        for details in interpreter.get_tensor_details()
        if len(details["shape"]) == 2 and min(details["shape"]) > 32
    }
    assert {(world.model.config.vocab_size, 64), (64, 64), (48, 64), (64, 128)} <= set(kinds)
    assert set(kinds.values()) == {"int8"}


@pytest.mark.parametrize(("small", "large"), [("onnx-int8", "onnx-fp32"), ("tflite-int8", "tflite-fp32")])
def test_int8_takes_a_quarter_of_the_weights_room(world, small: str, large: str):
    saved = world.files[large].stat().st_size - world.files[small].stat().st_size
    matrices = sum(value.numel() for value in world.model.parameters() if value.ndim > 1)
    assert saved > 0.6 * 3 * matrices
