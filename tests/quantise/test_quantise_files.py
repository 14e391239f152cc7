from __future__ import annotations

import onnx
import pytest
from onnx import numpy_helper

from edgedistil.errors import EdgeDistilError
from edgedistil.export.onnx import export_onnx
from edgedistil.export.quantise_onnx_static import quantise_onnx_static
from edgedistil.export.ranges_onnx import onnx_ranges
from edgedistil.models import take_layers
from edgedistil.quantise.prepare import Config, calibrate, prepare, strip
from edgedistil.quantise.ranges import scale_and_zero
from edgedistil.quantise.smooth import smooth

CONFIG = Config("fixed", operands=True, outputs=True, skip=("classifier",))


@pytest.fixture
def ready(model, rows):
    """Returns a smoothed model of two layers, one of them without heads, and its ranges."""
    prepared = prepare(smooth(take_layers(model, [0, 1]), rows)[0], CONFIG)
    calibrate(prepared, rows)
    return strip(prepared)


def test_an_onnx_file_s_scales_are_those_of_the_ranges(ready, tmp_path):
    model, ranges = ready
    export_onnx(model, tmp_path / "fp32.onnx")
    found = onnx_ranges(tmp_path / "fp32.onnx", model, ranges)
    quantise_onnx_static(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", ranges=found)
    graph = onnx.load(str(tmp_path / "int8.onnx")).graph
    values = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    steps = {node.input[0]: node.input[1:] for node in graph.node if node.op_type == "QuantizeLinear"}
    named = {node.name: node for node in onnx.load(str(tmp_path / "fp32.onnx")).graph.node}
    for name, node in {
        "encoder.layers.0.attention.key": "/model/encoder/layers.0/key/MatMul",
        "encoder.layers.1.ffn.down": "/model/encoder/layers.1/ffn/down/MatMul",
        "pre_classifier": "/model/pre_classifier/Gemm",
    }.items():
        scale, zero = (values[one] for one in steps[named[node].input[0]])
        step, middle = scale_and_zero(ranges.inputs[name])
        assert (float(scale), int(zero)) == (pytest.approx(step), middle)
    scores = named["/model/encoder/layers.0/MatMul"]
    low, high = ranges.operands["encoder.layers.0.attention:query"]
    root = model.config.head_size**0.5
    assert found[scores.input[0]] == pytest.approx((low / root, high / root))
    assert found[scores.input[1]] == ranges.operands["encoder.layers.0.attention:key"]
    assert not set(steps) - set(found)
    assert named["/model/classifier/Gemm"].input[0] not in steps


def test_a_file_of_other_weights_is_refused(model, ready, tmp_path):
    export_onnx(model, tmp_path / "other.onnx")
    with pytest.raises(
        EdgeDistilError, match=r"other\.onnx: .* are not in it as they are in the model.*with_unfolded_norms"
    ):
        onnx_ranges(tmp_path / "other.onnx", *ready)
