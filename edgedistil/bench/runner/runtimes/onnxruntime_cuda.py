"""ONNX Runtime on an NVIDIA GPU: a run ends when its answer is back in the host's memory, so the host's clock tells."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Optional, Sequence, Type, TypeVar

from ..errors import RunnerError
from .onnxruntime import OnnxModel, Provider, onnxruntime

PROVIDER = "CUDAExecutionProvider"
INSTALL = "pip install 'onnxruntime-gpu[cuda,cudnn]'"
_DRIVER = "libcuda.so"

Model = TypeVar("Model", bound=OnnxModel)


class OnnxCudaModel(OnnxModel):
    """An ONNX file whose nodes run on the GPU; those that cannot are run by the CPU, as everywhere."""

    name = "onnxruntime-cuda"


def open_on(
    providers: Sequence[Provider], kind: Type[Model], path: str, threads: int, unknown: RunnerError, cure: str
) -> Model:
    """Loads an ONNX file with the first of some providers, never with another in its place unseen.

    Args:
        providers: By rank; those after the first take the nodes that it cannot.
        kind: The model's class.
        path: The file.
        threads: For what is left to the CPU.
        unknown: Raised when this onnxruntime has no such provider.
        cure: What to do where a library is missing without which it falls back: a CPU's time is no GPU's.

    Raises:
        RunnerError: In either case, and where it falls back for want of a GPU.
    """
    first = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if first not in onnxruntime.get_available_providers():
        raise unknown
    _find_libraries()
    model = kind(path, threads, providers)
    if model.providers[0] != first:
        missing = missing_library(first)
        told = f"onnxruntime cannot use {first}{f': {missing}' if missing else ''}"
        raise RunnerError(told, cure if missing and _DRIVER not in missing else "check the driver with: nvidia-smi")
    return model


def _find_libraries() -> None:
    """Loads CUDA's and cuDNN's libraries from where pip put them, where the system's loader does not look."""
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None:
        preload()


def missing_library(provider: str) -> str:
    """Returns what the system's loader says of the first library that a provider needs and has not got; "" if none."""
    name = provider.replace("ExecutionProvider", "").lower()
    library = Path(onnxruntime.__file__).parent / "capi" / f"libonnxruntime_providers_{name}.so"
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        # Where all are there, it still wants what onnxruntime gives it when it loads it.
        return str(error) if "No such file" in str(error) else ""
    return ""


def load(path: str, threads: int, sequence_length: Optional[int], provider: str = PROVIDER) -> OnnxCudaModel:
    """Loads an ONNX file onto the GPU.

    Args:
        path: The file.
        threads: For what is left to the CPU.
        sequence_length: Any will do.
        provider: The execution provider; tests give the CPU's.

    Raises:
        RunnerError: When this onnxruntime has no such provider, or falls back from it.
    """
    del sequence_length
    unknown = RunnerError("this onnxruntime knows no GPU", f"run: pip uninstall onnxruntime, then {INSTALL}")
    return open_on([provider], OnnxCudaModel, path, threads, unknown, f"run: {INSTALL}")
