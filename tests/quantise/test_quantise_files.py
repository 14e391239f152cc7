from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edgedistil.errors import EdgeDistilError
from edgedistil.export.onnx import export_onnx
from edgedistil.export.ranges_onnx import onnx_float_nodes, onnx_overrides, onnx_ranges
from edgedistil.export.ranges_tflite import tflite_calibration, tflite_ranges
from edgedistil.export.tflite import export_tflite
from edgedistil.models import take_layers
from edgedistil.quantise.prepare import Config, calibrate, prepare, strip
from edgedistil.quantise.ranges import scale_and_zero
from edgedistil.quantise.scaling import with_unfolded_norms
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


@pytest.mark.slow
def test_a_tflite_file_s_scales_are_those_of_the_ranges(ready, rows, tmp_path):
    from ai_edge_quantizer import quantizer, recipe_manager
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils as files

    model, ranges = ready
    export_tflite(with_unfolded_norms(model), tmp_path / "fp32.tflite", [8])
    found = tflite_ranges(tmp_path / "fp32.tflite", model, ranges)
    maker = quantizer.Quantizer(str(tmp_path / "fp32.tflite"))
    rules = recipe_manager.RecipeManager()
    rules.add_static_config(".*(ScaledLinear_up|Linear_up).*", "FULLY_CONNECTED", 8, 8)
    maker.load_quantization_recipe(rules.get_quantization_recipe())
    measured = {"some sum": {"min": np.array([[-1.0]]), "max": np.array([[1.0]])}}
    calibration = tflite_calibration(measured, found)
    assert calibration["some sum"] == measured["some sum"]
    maker.quantize(calibration).export_model(str(tmp_path / "int8.tflite"))
    made = files.read_model(files.get_model_content(str(tmp_path / "int8.tflite")))
    scales = {
        round(float(tensor.quantization.scale[0]), 8)
        for graph in made.subgraphs
        for tensor in graph.tensors
        if tensor.quantization is not None and tensor.quantization.scale is not None and tensor.type == 9
    }
    for number in range(2):
        for part in (ranges.inputs, ranges.outputs):
            step = scale_and_zero(part[f"encoder.layers.{number}.ffn.up"])[0]
            assert min(abs(scale - step) for scale in scales) < 1e-5 * step
