"""TensorRT on an NVIDIA GPU, through ONNX Runtime: what it cannot take goes to the plain GPU provider."""

from __future__ import annotations

from typing import Optional

from ..errors import RunnerError
from .onnxruntime import OnnxModel
from .onnxruntime_cuda import PROVIDER as CUDA
from .onnxruntime_cuda import open_on

_PROVIDER = "TensorrtExecutionProvider"


class OnnxTensorRtModel(OnnxModel):
    """An ONNX file compiled for the GPU."""

    name = "onnxruntime-tensorrt"


def load(path: str, threads: int, sequence_length: Optional[int], provider: str = _PROVIDER) -> OnnxTensorRtModel:
    """Loads an ONNX file, which is compiled when it is first run.

    Args:
        path: The file.
        threads: For what is left to the CPU.
        sequence_length: Any will do.
        provider: The execution provider; tests give the CPU's.

    Raises:
        RunnerError: When this onnxruntime has no such provider, or falls back from it.
    """
    del sequence_length
    providers = [provider, CUDA] if provider == _PROVIDER else [provider]
    unknown = RunnerError("this onnxruntime knows no TensorRT", "run: pip install onnxruntime-gpu tensorrt")
    return open_on(providers, OnnxTensorRtModel, path, threads, unknown, "TensorRT", "run: pip install tensorrt")
