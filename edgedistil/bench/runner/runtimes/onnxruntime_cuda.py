"""ONNX Runtime on an NVIDIA GPU: a run ends when its answer is back in the host's memory, so the host's clock tells."""

from __future__ import annotations

from typing import Optional

from ..errors import RunnerError
from .onnxruntime import OnnxModel, onnxruntime

_PROVIDER = "CUDAExecutionProvider"


class OnnxCudaModel(OnnxModel):
    """An ONNX file whose nodes run on the GPU; those that cannot are run by the CPU, as everywhere."""

    name = "onnxruntime-cuda"


def load(path: str, threads: int, sequence_length: Optional[int], provider: str = _PROVIDER) -> OnnxCudaModel:
    """Loads an ONNX file onto the GPU.

    Args:
        path: The file.
        threads: For what is left to the CPU.
        sequence_length: Any will do.
        provider: The execution provider; tests give the CPU's.

    Raises:
        RunnerError: When this onnxruntime has no such provider, or falls back from it: a CPU's time is no GPU's.
    """
    del sequence_length
    if provider not in onnxruntime.get_available_providers():
        raise RunnerError("this onnxruntime knows no GPU", "run: pip install onnxruntime-gpu (and remove onnxruntime)")
    model = OnnxCudaModel(path, threads, [provider])
    if model.providers[0] != provider:
        raise RunnerError(f"{path}: onnxruntime found no usable GPU", "check the driver with: nvidia-smi")
    return model
