"""TensorRT on an NVIDIA GPU, through ONNX Runtime: what it cannot take goes to the plain GPU provider."""

from __future__ import annotations

import importlib
from typing import Dict, List, Optional, Type

import numpy as np

from ..errors import RunnerError
from . import FloatArray, IntArray
from .onnxruntime import OnnxModel, Provider
from .onnxruntime_cuda import INSTALL, Model, open_on
from .onnxruntime_cuda import PROVIDER as CUDA

PROVIDER = "TensorrtExecutionProvider"
_LEAST = 16


class OnnxTensorRtModel(OnnxModel):
    """An ONNX file compiled for the GPU, once for what is bound, and for texts at a few lengths.

    An input that is shorter or longer than all before it has the file compiled anew, which takes far longer than any
    inference: https://github.com/huggingface/optimum/pull/657. Texts are therefore padded to a power of two, to 16
    tokens at least.
    """

    name = "onnxruntime-tensorrt"

    def run(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        """Runs one batch at the next power of two; see `Runtime.run`."""
        length = input_ids.shape[1]
        missing = max(_LEAST, 1 << (length - 1).bit_length()) - length
        padding = ((0, 0), (0, missing))
        try:
            logits = super().run(np.pad(input_ids, padding), np.pad(attention_mask, padding))
        except RunnerError:
            # A model may have fewer positions than that, and takes a text at its own length.
            return super().run(input_ids, attention_mask)
        return logits[:, :length] if logits.ndim == input_ids.ndim + 1 else logits


def load(path: str, threads: int, sequence_length: Optional[int], provider: str = PROVIDER) -> OnnxTensorRtModel:
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
    return open_compiled(OnnxTensorRtModel, path, threads, provider, {})


def open_compiled(kind: Type[Model], path: str, threads: int, provider: str, options: Dict[str, str]) -> Model:
    """Loads an ONNX file with TensorRT, some of its options set; see `load`."""
    providers: List[Provider] = [(provider, options), CUDA] if provider == PROVIDER else [provider]
    _find_libraries()
    install = f"{INSTALL} with the TensorRT that it was built for, such as 'tensorrt-cu13<11'"
    unknown = RunnerError("this onnxruntime knows no TensorRT", f"run: pip uninstall onnxruntime, then {install}")
    return open_on(providers, kind, path, threads, unknown, f"run: {install}")


def _find_libraries() -> None:
    """Loads TensorRT's libraries from where pip put them, which its Python package does when it is imported."""
    try:
        importlib.import_module("tensorrt")
    except (ImportError, OSError):
        # What it lacks is named when onnxruntime falls back.
        return
