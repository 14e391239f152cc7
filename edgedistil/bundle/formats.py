"""The formats a bundle may hold: each one's name, usual place, runtime and title."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A kind of model file.

    Attributes:
        name: Name in recipes, manifests and options, such as `onnx-int8`.
        path: Usual place in a bundle, POSIX, relative; a manifest's record may name another.
        runtime: Runtime that opens it: `onnxruntime`, `litert` or `pytorch`.
        title: Name in tables.
    """

    name: str
    path: str
    runtime: str
    title: str


FORMATS: dict[str, Format] = {
    made.name: made
    for made in (
        Format("onnx-fp32", "onnx/model.onnx", "onnxruntime", "ONNX fp32"),
        Format("onnx-int8", "onnx/model_quantized.onnx", "onnxruntime", "ONNX int8"),
        Format("tflite-fp32", "model_fp32.tflite", "litert", "TFLite fp32"),
        Format("tflite-int8", "model_dynamic_wi8_afp32.tflite", "litert", "TFLite int8"),
        Format("pytorch", "pytorch/model.safetensors", "pytorch", "PyTorch"),
    )
}
"""Every format by name, in the order in which tables show them."""
