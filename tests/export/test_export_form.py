from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ai_edge_litert import schema_py_generated as schema

from edgedistil.export.form import LogitsOnly
from edgedistil.export.onnx import export_onnx
from edgedistil.export.quantise_onnx import quantise_onnx
from edgedistil.export.quantise_tflite import quantise_tflite
from edgedistil.models import EdgeBertForSequenceClassification, from_checkpoint, keep


@pytest.fixture(scope="module")
def full(world) -> EdgeBertForSequenceClassification:
    """Returns three whole layers of 4 heads and 128 neurons, weights large enough that every part counts."""
    torch.manual_seed(5)
    model = from_checkpoint(world.teacher)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "norm" not in name:
                value.normal_(std=0.2)
    return model


@pytest.mark.parametrize(
    ("heads", "ffn"),
    [
        ([4, 4, 4], [128, 128, 128]),
        ([1, 4, 3], [16, 0, 80]),
        ([4, 0, 2], [0, 128, 0]),
        ([0, 0, 0], [0, 0, 0]),
        ([4, 4, 0], [128, 128, 64]),
    ],
)
def test_the_form_computes_what_the_model_does(full, heads: list[int], ffn: list[int]):
    model = keep(full, [list(range(count)) for count in heads], [list(range(count)) for count in ffn])
    ids = torch.randint(5, 60, (4, 24), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(24)[None] < torch.tensor([24, 13, 2, 1])[:, None]).long()
    with torch.no_grad():
        torch.testing.assert_close(LogitsOnly(model)(ids, mask), model(ids, mask).logits, rtol=1e-4, atol=1e-5)


def test_only_the_first_token_goes_through_the_last_layer(full):
    form = LogitsOnly(full)
    shapes = []
    for layer in form.model.encoder.layers:
        layer.ffn.register_forward_hook(lambda module, given, output: shapes.append(tuple(output.shape)))
    ids = torch.full((2, 9), 7)
    form(ids, torch.ones_like(ids))
    assert shapes == [(2, 9, 64), (2, 9, 64), (2, 1, 64)]


def test_the_model_itself_is_not_touched(full, tmp_path: Path):
    before = {name: value.clone() for name, value in full.state_dict().items()}
    kinds = [type(layer) for layer in full.encoder.layers]
    export_onnx(full, tmp_path / "model.onnx")
    assert [type(layer) for layer in full.encoder.layers] == kinds
    assert full.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in full.state_dict().items())


def test_the_same_model_gives_the_same_bytes(world, tmp_path: Path):
    again = {name: tmp_path / path.name for name, path in world.files.items()}
    export_onnx(world.model, again["onnx-fp32"])
    quantise_onnx(world.files["onnx-fp32"], again["onnx-int8"])
    quantise_tflite(world.files["tflite-fp32"], again["tflite-int8"])
    for name in ("onnx-fp32", "onnx-int8", "tflite-int8"):
        assert again[name].read_bytes() == world.files[name].read_bytes()


def test_signatures_share_the_scales_of_their_weights(world):
    packed = schema.Model.GetRootAs(bytearray(world.files["tflite-int8"].read_bytes()))
    places = []
    for number in range(packed.SubgraphsLength()):
        graph = packed.Subgraphs(number)
        records = [graph.Tensors(index).Quantization() for index in range(graph.TensorsLength())]
        places.append({record._tab.Pos for record in records if record is not None and record.ScaleLength() > 1})
    assert len(places) == 2
    assert places[0]
    assert places[0] == places[1]


def test_quantising_leaves_the_schema_as_it_was(world, tmp_path: Path):
    before = schema.QuantizationParametersT.Pack
    quantise_tflite(world.files["tflite-fp32"], tmp_path / "model.tflite")
    assert schema.QuantizationParametersT.Pack is before
