from __future__ import annotations

from pathlib import Path

import onnx

from edgedistil.export.onnx_keys import split_key_transposes
from edgedistil.export.quantise_onnx_static import quantise_onnx_static


def orders(path: Path) -> list[list[int]]:
    nodes = onnx.load(str(path)).graph.node
    return [list(node.attribute[0].ints) for node in nodes if node.op_type == "Transpose"]


def test_the_answers_stay_the_same(world, answers_alike):
    model = onnx.load(str(world.files["onnx-fp32"]))
    assert split_key_transposes(model) == orders(world.files["onnx-fp32"]).count([0, 2, 3, 1]) == 1
    answers_alike(model)


def test_a_static_file_moves_keys_in_two_steps(world, tmp_path: Path):
    quantise_onnx_static(world.files["onnx-fp32"], tmp_path / "static.onnx", rows=world.evaluation)
    found = orders(tmp_path / "static.onnx")
    assert [0, 2, 3, 1] not in found
    assert found.count([0, 1, 3, 2]) == 1


def test_what_no_product_takes_is_left(tmp_path: Path):
    made = onnx.helper.make_node("Transpose", ["x"], ["y"], "t", perm=[0, 2, 3, 1])
    kinds = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 2, 3, 4]), ("y", [1, 3, 4, 2]))
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph([made], "g", kinds[:1], kinds[1:]))
    assert split_key_transposes(model) == 0
    assert [node.name for node in model.graph.node] == ["t"]
