from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edgedistil.errors import EdgeDistilError
from edgedistil.export.onnx import export_onnx
from edgedistil.export.ranges_onnx import onnx_float_nodes, onnx_overrides, onnx_ranges
from edgedistil.export.ranges_tflite import tflite_calibration
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


class _Rows(CalibrationDataReader):
    def __init__(self, rows):
        self._left = [rows.batch([row], int(rows.lengths[row])) for row in range(2)]

    def get_next(self):
        return dict(zip(("input_ids", "attention_mask"), self._left.pop(), strict=True)) if self._left else None


def test_an_onnx_file_s_scales_are_those_of_the_ranges(ready, rows, tmp_path):
    model, ranges = ready
    export_onnx(model, tmp_path / "fp32.onnx")
    found = onnx_ranges(tmp_path / "fp32.onnx", model, ranges)
    left = onnx_float_nodes(tmp_path / "fp32.onnx", model, ranges)
    assert left == ["/model/classifier/Gemm"]
    quantize_static(
        tmp_path / "fp32.onnx",
        tmp_path / "int8.onnx",
        _Rows(rows),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
        nodes_to_exclude=left,
        extra_options={
            "TensorQuantOverrides": onnx_overrides(found),
            "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"],
            "MatMulConstBOnly": False,
        },
    )
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


def test_a_file_of_other_weights_is_refused(model, ready, tmp_path):
    export_onnx(model, tmp_path / "other.onnx")
    with pytest.raises(
        EdgeDistilError, match=r"other\.onnx: .* are not in it as they are in the model.*with_unfolded_norms"
    ):
        onnx_ranges(tmp_path / "other.onnx", *ready)


def test_ranges_stand_in_for_what_tflite_s_calibration_measured():
    measured = {"some sum": {"min": np.array([[-1.0]]), "max": np.array([[1.0]])}}
    made = tflite_calibration(
        measured | {"input": {"min": np.array([[-9.0]]), "max": np.array([[9.0]])}}, {"input": (-1.0, 2.0)}
    )
    assert made["some sum"] == measured["some sum"]
    assert (made["input"]["min"].tolist(), made["input"]["max"].tolist()) == ([[-1.0]], [[2.0]])
