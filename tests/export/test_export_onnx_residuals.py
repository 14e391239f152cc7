from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime

from edgedistil.export.onnx_residuals import sum_residuals
from edgedistil.export.quantise_onnx import quantise_onnx


def fused(path: Path, scratch: Path) -> int:
    """Returns how many residuals ONNX Runtime joins with their LayerNorm."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(scratch)
    onnxruntime.InferenceSession(str(path), options)
    return sum(node.op_type == "SkipLayerNormalization" for node in onnx.load(str(scratch)).graph.node)


def test_no_residual_of_a_dynamic_file_is_joined_with_its_norm(world, tmp_path: Path, monkeypatch):
    quantise_onnx(world.files["onnx-fp32"], tmp_path / "sums.onnx")
    monkeypatch.setattr("edgedistil.export.quantise_onnx.sum_residuals", lambda model: 0)
    quantise_onnx(world.files["onnx-fp32"], tmp_path / "adds.onnx")
    assert fused(tmp_path / "adds.onnx", tmp_path / "run.onnx") > 0
    assert fused(tmp_path / "sums.onnx", tmp_path / "run.onnx") == 0


def test_the_answers_stay_the_same(world, answers_alike):
    model = onnx.load(str(world.files["onnx-fp32"]))
    norms = sum(node.op_type == "LayerNormalization" for node in model.graph.node)
    assert sum_residuals(model) == norms > 0
    answers_alike(model)


def test_a_file_that_was_there_under_another_name_too_keeps_its_content(world, tmp_path: Path):
    (tmp_path / "kept.onnx").write_bytes(b"kept")
    (tmp_path / "made.onnx").hardlink_to(tmp_path / "kept.onnx")
    quantise_onnx(world.files["onnx-fp32"], tmp_path / "made.onnx")
    assert (tmp_path / "kept.onnx").read_bytes() == b"kept"
    assert (tmp_path / "made.onnx").stat().st_size > len(b"kept")
