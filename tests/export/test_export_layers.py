from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from edgedistil.errors import UsageError
from edgedistil.export.layer_names import chosen, in_order
from edgedistil.export.onnx_layers import layers_of_onnx, nodes_to_keep
from edgedistil.export.quantise_onnx import quantise_onnx
from edgedistil.export.tflite_layers import layers_of_tflite, products_of

PRODUCTS_OF_ATTENTION = ("/model/encoder/layers.0/MatMul", "/model/encoder/layers.0/MatMul_1")
LAYERS = ["embeddings", "layer.0.attention", "layer.0.ffn", "layer.1.ffn", "head"]


def test_both_containers_have_the_same_layers_and_none_that_was_pruned_away(world):
    assert layers_of_tflite(world.files["tflite-fp32"]) == LAYERS
    assert layers_of_onnx(world.files["onnx-fp32"]) == LAYERS


def test_every_signature_has_the_same_products(world):
    graphs = [
        [(product.layer, product.role) for product in products_of(world.files["tflite-fp32"]) if product.place[0] == at]
        for at in (0, 1)
    ]
    assert graphs[0] == graphs[1]
    assert sorted(role for layer, role in graphs[0] if layer == "layer.0.attention") == [
        "key", "output", "query", "value",
    ]  # fmt: skip


def test_nodes_of_a_layer_are_its_products(world):
    assert nodes_to_keep(world.files["onnx-fp32"], ["layer.0.ffn", "embeddings"]) == [
        "/model/encoder/embeddings/word/Gather",
        "/model/encoder/embeddings/position/Gather",
        "/model/encoder/layers.0/ffn/up/MatMul",
        "/model/encoder/layers.0/ffn/down/MatMul",
    ]
    every = nodes_to_keep(world.files["onnx-fp32"], ["layer.0.ffn"], kinds=None)
    assert "/model/encoder/layers.0/ffn/up/Add" in every


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_of_a_dynamic_file_can_stay_in_fp32(world, tmp_path: Path, layer: str):
    def matrices(path: Path) -> int:
        kinds = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
        return sum(one.data_type in kinds and len(one.dims) == 2 for one in onnx.load(path).graph.initializer)

    quantise_onnx(world.files["onnx-fp32"], tmp_path / "whole.onnx")
    quantise_onnx(world.files["onnx-fp32"], tmp_path / "kept.onnx", keep=[layer])
    weighted = [node for node in nodes_to_keep(world.files["onnx-fp32"], [layer]) if node not in PRODUCTS_OF_ATTENTION]
    assert matrices(tmp_path / "whole.onnx") - matrices(tmp_path / "kept.onnx") == len(weighted)


def test_a_beginning_names_all_that_starts_with_it_at_a_dot():
    known = ["head", "layer.1.ffn", "layer.11.ffn", "layer.1.attention"]
    assert chosen(["head", "layer.1"], known) == ["layer.1.attention", "layer.1.ffn", "head"]
    assert in_order(["head", "layer.10.ffn", "layer.9.ffn", "embeddings"])[1:3] == ["layer.9.ffn", "layer.10.ffn"]


def test_an_unknown_layer_is_refused_with_the_nearest():
    with pytest.raises(UsageError) as caught:
        chosen(["layer.0.fnn"], LAYERS)
    assert caught.value.line() == "the model has no layer 'layer.0.fnn' to keep; did you mean 'layer.0.ffn'?"


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path):
    (tmp_path / "model.onnx").write_text("no model")
    with pytest.raises(UsageError, match="no readable ONNX file"):
        layers_of_onnx(tmp_path / "model.onnx")
