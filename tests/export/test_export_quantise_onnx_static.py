from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.export.all import Calibrating, export_all
from edgedistil.export.calibration import choose_rows
from edgedistil.export.onnx_fp16 import convert_onnx_fp16
from edgedistil.export.onnx_int4 import quantise_onnx_int4
from edgedistil.export.onnx_layers import layers_of_onnx
from edgedistil.export.parity import check_parity
from edgedistil.export.qdq import activation_step, weight_step
from edgedistil.export.quantise_onnx_static import quantise_onnx_static


@pytest.fixture(scope="module")
def rows(world):
    return choose_rows(world.evaluation, 32, 0)


@pytest.fixture(scope="module")
def static(world, rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("static") / "model.onnx"
    quantise_onnx_static(world.files["onnx-fp32"], path, rows=rows)
    return path


def executed(path: Path) -> Counter:
    """Counts the nodes that ONNX Runtime makes of a file."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path.with_suffix(".optimised"))
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


@given(st.floats(-50, 50), st.floats(-50, 50), st.sampled_from(["uint8", "int8"]), st.booleans())
def test_zero_is_exact_and_the_range_is_within_half_a_step(one: float, two: float, kind: str, symmetric: bool):
    low, high = sorted((one, two))
    step = activation_step((low, high), kind, symmetric=symmetric)
    values = np.array([0.0, *np.linspace(min(low, 0), max(high, 0), 50)], dtype=np.float32)
    real = (step.quantise(values).astype(np.float64) - int(step.zero)) * float(step.scale)
    assert real[0] == 0
    assert np.abs(real - values).max() <= float(step.scale) * 1.001
    assert int(step.zero) == {"uint8": 128, "int8": 0}[kind] or not symmetric


def test_weights_are_within_half_a_step_a_channel():
    weight = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32) * np.arange(6)
    for bits, largest in ((8, 127), (7, 63)):
        step = weight_step(weight, 1, bits)
        integers = step.quantise(weight)
        assert np.abs(integers).max() == largest
        assert (np.abs(integers * step.scale - weight).max(axis=0) <= step.scale / 2 + 1e-6).all()
        assert not integers[:, 0].any()


def test_a_static_file_holds_in_both_runtimes(world, static: Path):
    found = check_parity(static, "onnx-int8-static", world.reference, world.evaluation)
    assert found.agreement >= 0.95
    assert static.stat().st_size < 0.5 * world.files["onnx-fp32"].stat().st_size


@pytest.mark.parametrize("activations", ["uint8", "int8"])
def test_every_product_with_weights_but_the_last_runs_in_integers(
    world, rows, tmp_path: Path, activations: str, static: Path
):
    path = tmp_path / "model.onnx"
    quantise_onnx_static(world.files["onnx-fp32"], path, rows=rows, activations=activations)
    nodes = executed(path)
    # One layer has heads: four products with weights, and queries with keys; two have an FFN, of two products.
    assert nodes["MatMulIntegerToFloat"] + nodes["MatMulInteger"] + nodes["DynamicQuantizeMatMul"] >= 9
    assert nodes["MatMul"] == 1


def test_the_same_file_and_rows_give_the_same_bytes(world, rows, static: Path, tmp_path: Path):
    quantise_onnx_static(world.files["onnx-fp32"], tmp_path / "again.onnx", rows=rows)
    assert (tmp_path / "again.onnx").read_bytes() == static.read_bytes()


def test_seven_bits_and_layers_that_stay(world, rows, tmp_path: Path):
    path = tmp_path / "model.onnx"
    quantise_onnx_static(world.files["onnx-fp32"], path, rows=rows, reduce_range=True, keep=["layer.0", "embeddings"])
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    weights = [values for name, values in stored.items() if values.dtype == np.int8 and values.ndim == 2]
    assert weights
    assert max(np.abs(values).max() for values in weights) == 63
    assert "model.encoder.embeddings.tables.word.weight" in stored
    assert not any("layers.0" in name and name.endswith("_scale") for name in stored)
    with pytest.raises(UsageError, match=r"no layer 'layer\.9'"):
        quantise_onnx_static(world.files["onnx-fp32"], path, rows=rows, keep=["layer.9"])


def test_ranges_from_elsewhere_are_taken_as_they_are(world, tmp_path: Path):
    graph = onnx.load(world.files["onnx-fp32"]).graph
    (product,) = (node for node in graph.node if node.name.endswith("layers.1/ffn/up/MatMul"))
    quantise_onnx_static(world.files["onnx-fp32"], tmp_path / "m.onnx", ranges={product.input[0]: (-1.0, 4.1)})
    made = onnx.load(tmp_path / "m.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.initializer}
    (pair,) = (node for node in made.node if node.op_type == "QuantizeLinear")
    assert stored[pair.input[1]] == pytest.approx(0.02)
    assert stored[pair.input[2]] == 50


def test_openvino_answers_as_onnxruntime_does(world, static: Path):
    pytest.importorskip("openvino")
    from edgedistil.bench.runner import runtimes

    batch = world.evaluation.batch([0, 1, 2], 16)
    logits = [runtimes.create(name, str(static), 1).run(*batch) for name in ("onnxruntime", "openvino")]
    np.testing.assert_allclose(*logits, atol=0.05 * np.ptp(world.reference))


def test_fp16_and_int4_hold_and_are_smaller(world, tmp_path: Path):
    source = world.files["onnx-fp32"]
    convert_onnx_fp16(source, tmp_path / "half.onnx")
    assert check_parity(tmp_path / "half.onnx", "onnx-fp16", world.reference, world.evaluation).agreement == 1
    quantise_onnx_int4(source, tmp_path / "four.onnx")
    nodes = Counter(node.op_type for node in onnx.load(tmp_path / "four.onnx").graph.node)
    assert (nodes["MatMulNBits"], nodes["GatherBlockQuantized"]) == (9, 1)
    session = onnxruntime.InferenceSession(str(tmp_path / "four.onnx"))
    input_ids, mask = world.evaluation.batch([0], int(world.evaluation.lengths[0]))
    (logits,) = session.run(None, {"input_ids": input_ids, "attention_mask": mask})
    assert np.corrcoef(logits[0], world.reference[0])[0, 1] > 0.5
    quantise_onnx_int4(source, tmp_path / "kept.onnx", keep=["layer.1"])
    assert sum(node.op_type == "MatMulNBits" for node in onnx.load(tmp_path / "kept.onnx").graph.node) == 7
    for make in (convert_onnx_fp16, quantise_onnx_int4, quantise_onnx_static):
        (tmp_path / "junk.onnx").write_bytes(b"no model")
        with pytest.raises(EdgeDistilError, match=r"junk\.onnx: cannot (quantise it|be converted)"):
            make(tmp_path / "junk.onnx", tmp_path / "out.onnx")


@pytest.mark.parametrize(("columns", "block"), [(32, 32), (48, 32), (64, 16)])
def test_words_in_four_bits_are_looked_up_as_they_were_rounded(tmp_path: Path, columns: int, block: int):
    words = np.random.default_rng(0).normal(size=(11, columns)).astype(np.float32)
    words[3] = 0
    rows = onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.INT64, ["count"])
    found = onnx.helper.make_tensor_value_info("found", onnx.TensorProto.FLOAT, ["count", columns])
    gather = onnx.helper.make_node("Gather", ["words", "rows"], ["found"], "gather")
    graph = onnx.helper.make_graph([gather], "words", [rows], [found], [onnx.numpy_helper.from_array(words, "words")])
    opsets = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, ir_version=9, opset_imports=opsets), str(tmp_path / "fp32.onnx"))
    quantise_onnx_int4(tmp_path / "fp32.onnx", tmp_path / "four.onnx", block=block)
    session = onnxruntime.InferenceSession(str(tmp_path / "four.onnx"))
    (made,) = session.run(None, {"rows": np.arange(11, dtype=np.int64)})
    assert np.array_equal(made[3], words[3])
    for start in range(0, columns, block):
        part, real = made[:, start : start + block], words[:, start : start + block]
        steps = np.abs(real).max(axis=1, keepdims=True) / 8
        # The opposite of the farthest value has no integer of its own and may be a whole step away.
        assert (np.abs(part - real) <= 1.0001 * steps).all()
        assert (np.abs(part - real) <= 0.5001 * steps).mean() > 0.95
        assert len(np.unique(np.rint(part[0] / steps[0]))) <= 16


def test_a_run_keeps_its_ranges_and_refuses_a_static_format_without_text(world, rows, tmp_path: Path):
    with pytest.raises(UsageError, match="calibration has no text"):
        export_all(world.model, ["onnx-int8-static"], [16], world.evaluation, world.reference, tmp_path)
    assert not list(tmp_path.iterdir())
    formats = ["onnx-int8-static", "tflite-int8-static"]
    made = export_all(
        world.model, formats, [32], world.evaluation, world.reference, tmp_path / "files",
        calibrating=Calibrating(rows, "percentile", "uint8", False, tmp_path),
    )  # fmt: skip
    assert [file.failure for file in made] == [None, None]
    for name in formats:
        assert json.loads((tmp_path / f"calibration-{name}.json").read_text())["method"] == "percentile"


def test_ranges_are_found_once_for_every_choice_of_layers(world, rows, static: Path, tmp_path: Path):
    source, saved = world.files["onnx-fp32"], tmp_path / "ranges.json"
    layers = layers_of_onnx(source)
    quantise_onnx_static(source, tmp_path / "tables.onnx", rows=rows, saved=saved, keep=[*layers[1:]])
    found = saved.read_bytes()
    quantise_onnx_static(source, tmp_path / "all.onnx", rows=rows, saved=saved)
    assert saved.read_bytes() == found
    assert (tmp_path / "all.onnx").read_bytes() == static.read_bytes()
    kinds = {node.op_type for node in onnx.load(str(tmp_path / "tables.onnx")).graph.node}
    assert "QuantizeLinear" not in kinds
    assert (tmp_path / "tables.onnx").stat().st_size < source.stat().st_size
