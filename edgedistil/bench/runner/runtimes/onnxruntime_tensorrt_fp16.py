"""TensorRT with its kernels of half precision, which it does not choose for a file of fp16 unless it is told to."""

from __future__ import annotations

from typing import Optional

from .onnxruntime_tensorrt import PROVIDER, OnnxTensorRtModel, open_compiled


class OnnxTensorRtFp16Model(OnnxTensorRtModel):
    """An ONNX file compiled for the GPU in half precision."""

    name = "onnxruntime-tensorrt-fp16"


def load(path: str, threads: int, sequence_length: Optional[int], provider: str = PROVIDER) -> OnnxTensorRtFp16Model:
    """Loads an ONNX file; see `onnxruntime_tensorrt.load`.

    Raises:
        RunnerError: When this onnxruntime has no such provider, or falls back from it.
    """
    del sequence_length
    return open_compiled(OnnxTensorRtFp16Model, path, threads, provider, {"trt_fp16_enable": "True"})
