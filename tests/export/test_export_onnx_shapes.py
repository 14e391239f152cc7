from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedistil.export.onnx_shapes import fix_shapes
from edgedistil.export.quantise_onnx_static import quantise_onnx_static


def kinds(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(str(path)).graph.node)


def test_the_answers_stay_the_same_for_any_batch_and_length(world, answers_alike):
    source = world.files["onnx-fp32"]
    model = onnx.load(str(source))
    assert fix_shapes(model) == kinds(source)["Reshape"] == 4
    answers_alike(model)


def test_a_static_file_computes_no_shape_of_its_heads(world, tmp_path: Path):
    quantise_onnx_static(world.files["onnx-fp32"], tmp_path / "static.onnx", rows=world.evaluation)
    assert kinds(world.files["onnx-fp32"])["Concat"] == 4
    found = kinds(tmp_path / "static.onnx")
    assert found["Concat"] == 0
    assert found["Reshape"] == 4
    # The one that is left says how many positions are looked up.
    assert found["Shape"] == 1


def reshaped(of: str, index: int, allowzero: int = 0) -> onnx.ModelProto:
    """Returns a graph that reshapes `x`, [b, 2, 6], to one size of a tensor's shape, what is left, and 3."""
    constants = {"index": np.array(index), "axes": np.array([0]), "rest": np.array([-1, 3])}
    nodes = [
        helper.make_node("Shape", [of], ["shape"]),
        helper.make_node("Gather", ["shape", "index"], ["size"]),
        helper.make_node("Unsqueeze", ["size", "axes"], ["sizes"]),
        helper.make_node("Concat", ["sizes", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["z"], allowzero=allowzero),
    ]
    takes = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 2, 6]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 2, 6]),
    ]
    gives = [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return helper.make_model(helper.make_graph(nodes, "g", takes, gives, held))


def test_a_size_that_stays_in_its_place_is_fixed():
    model = reshaped("x", 0)
    assert fix_shapes(model) == 1
    (node,) = model.graph.node
    (shape,) = model.graph.initializer
    assert node.input[1] == shape.name
    assert numpy_helper.to_array(shape).tolist() == [0, -1, 3]


@pytest.mark.parametrize(
    "model", [reshaped("y", 0), reshaped("x", 1), reshaped("x", 0, allowzero=1)], ids=["other", "moved", "zero"]
)
def test_any_other_size_is_left_to_be_computed(model: onnx.ModelProto):
    nodes = len(model.graph.node)
    assert fix_shapes(model) == 0
    assert len(model.graph.node) == nodes
