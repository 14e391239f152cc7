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


def graph_of(sizes: list[onnx.NodeProto], of: str, allowzero: int = 0, **constants: list[int] | int) -> onnx.ModelProto:
    """Returns a graph that reshapes `x`, [b, 2, 6], to some `sizes` of a tensor's `shape`, what is left, and 3."""
    nodes = [
        helper.make_node("Shape", [of], ["shape"]),
        *sizes,
        helper.make_node("Concat", ["sizes", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["z"], allowzero=allowzero),
    ]
    takes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 2, 6]) for name in ("x", "y")]
    gives = [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
    values = {"rest": [-1, 3], **constants}
    held = [numpy_helper.from_array(np.array(value, dtype=np.int64), name) for name, value in values.items()]
    return helper.make_model(helper.make_graph(nodes, "g", takes, gives, held))


def reshaped(of: str, index: int, allowzero: int = 0) -> onnx.ModelProto:
    """Returns a graph that takes one size."""
    sizes = [
        helper.make_node("Gather", ["shape", "index"], ["size"]),
        helper.make_node("Unsqueeze", ["size", "axes"], ["sizes"]),
    ]
    return graph_of(sizes, of, allowzero, index=index, axes=[0])


def sliced(start: int, end: int) -> onnx.ModelProto:
    """Returns a graph that takes those of `x` from one axis to before another."""
    return graph_of([helper.make_node("Slice", ["shape", "start", "end"], ["sizes"])], "x", start=[start], end=[end])


@pytest.mark.parametrize(
    ("model", "shape"), [(reshaped("x", 0), [0, -1, 3]), (sliced(0, 2), [0, 0, -1, 3])], ids=["one", "two"]
)
def test_sizes_that_stay_in_their_place_are_fixed(model: onnx.ModelProto, shape: list[int]):
    assert fix_shapes(model) == 1
    (node,) = model.graph.node
    (held,) = model.graph.initializer
    assert node.input[1] == held.name
    assert numpy_helper.to_array(held).tolist() == shape


@pytest.mark.parametrize(
    "model",
    [
        reshaped("y", 0),
        reshaped("x", 1),
        reshaped("x", 0, allowzero=1),
        sliced(1, 2),
        sliced(0, -1),
        sliced(0, 2**63 - 1),
    ],
    ids=["another tensor's", "moved", "zero is a size", "moved together", "from the end", "all the rest"],
)
def test_any_other_size_is_left_to_be_computed(model: onnx.ModelProto):
    nodes = len(model.graph.node)
    assert fix_shapes(model) == 0
    assert len(model.graph.node) == nodes
