"""How often what the exporters write has changed, in plain numbers; for plans made without torch."""

from __future__ import annotations

from edgedistil.export.quantise_onnx import VERSION as ONNX_INT8

# Raised by one when the same model's fp32 file, or its quantised TFLite file, takes another time or size than before.
_FP32 = {"onnx": 1, "tflite": 1}
_QUANTISED = {"onnx-int8": ONNX_INT8, "tflite-int8": 1}


def exporter_changes(name: str) -> int:
    """Returns how often a format's files have changed since the first: what was measured of older ones holds no more.

    Args:
        name: A key of the bundle's formats that latency tables are made of.
    """
    container = name.partition("-")[0]
    return _FP32.get(container, 1) + _QUANTISED.get(name, 1) - 2
