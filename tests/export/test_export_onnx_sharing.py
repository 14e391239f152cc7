from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from edgedistil.distil.evaluate import predict_logits
from edgedistil.export.onnx import export_onnx
from edgedistil.export.parity import logits_of
from edgedistil.export.quantise_onnx_static import quantise_onnx_static
from edgedistil.quantise.scaling import scale_inputs


def multiplied(path: Path) -> list[str]:
    """Returns the layers whose input a graph multiplies by factors."""
    nodes = onnx.load(str(path)).graph.node
    return [node.name for node in nodes if node.op_type == "Mul" and node.input[1].endswith("factors")]


def scaled(world, factors: dict[str, float]):
    size = world.model.config.hidden_size
    drawn = {name: torch.linspace(0.5, 2.0, size) * factor for name, factor in factors.items()}
    return scale_inputs(world.model, {f"encoder.layers.0.attention.{name}": one for name, one in drawn.items()})


def test_query_key_and_value_share_one_multiplication_and_one_quantisation(world, tmp_path: Path):
    model = scaled(world, {"query": 1.0, "key": 1.0, "value": 1.0})
    export_onnx(model, tmp_path / "model.onnx")
    assert multiplied(tmp_path / "model.onnx") == ["/model/encoder/layers.0/query/Mul"]
    reference = predict_logits(model, world.evaluation)
    found = logits_of(tmp_path / "model.onnx", "onnx-fp32", world.evaluation, len(reference))
    np.testing.assert_allclose(found, reference, atol=1e-4)
    steps = []
    for one in (world.model, model):
        export_onnx(one, tmp_path / "model.onnx")
        quantise_onnx_static(tmp_path / "model.onnx", tmp_path / "static.onnx", rows=world.evaluation)
        steps.append(quantisations(tmp_path / "static.onnx", tmp_path / "run.onnx"))
    assert steps[0] == steps[1]


def quantisations(path: Path, optimised: Path) -> int:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(optimised)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(str(path), options)
    return sum(node.op_type == "QuantizeLinear" for node in onnx.load(str(optimised)).graph.node)


@pytest.mark.parametrize("names", [["query"], ["query", "key"]])
def test_other_factors_are_left_apart(world, tmp_path: Path, names: list[str]):
    model = scaled(world, {name: 1.0 + place for place, name in enumerate(names)})
    export_onnx(model, tmp_path / "model.onnx")
    assert multiplied(tmp_path / "model.onnx") == [f"/model/encoder/layers.0/{name}/Mul" for name in names]
