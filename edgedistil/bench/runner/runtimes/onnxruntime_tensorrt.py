"""TensorRT on an NVIDIA GPU, through ONNX Runtime: what it cannot take goes to the plain GPU provider."""

from __future__ import annotations

from typing import Optional

from ..errors import RunnerError
from .onnxruntime import OnnxModel, onnxruntime

_PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider")


class OnnxTensorRtModel(OnnxModel):
    """An ONNX file compiled for the GPU; scales of a static int8 file are taken as they are."""

    name = "onnxruntime-tensorrt"


def load(path: str, threads: int, sequence_length: Optional[int], provider: str = _PROVIDERS[0]) -> OnnxTensorRtModel:
    """Loads an ONNX file; the first inference of a length compiles it, which takes minutes.

    Args:
        path: The file.
        threads: For what is left to the CPU.
        sequence_length: Any will do.
        provider: The execution provider; tests give the CPU's.

    Raises:
        RunnerError: When this onnxruntime has no such provider, or falls back from it.
    """
    del sequence_length
    if provider not in onnxruntime.get_available_providers():
        raise RunnerError("this onnxruntime knows no TensorRT", "run: pip install onnxruntime-gpu tensorrt")
    model = OnnxTensorRtModel(path, threads, _PROVIDERS if provider == _PROVIDERS[0] else [provider])
    if model.providers[0] != provider:
        raise RunnerError(f"{path}: onnxruntime found no usable TensorRT", "run: pip install tensorrt")
    return model
