"""ONNX Runtime on an NVIDIA GPU: a run ends when its answer is back in the host's memory, so the host's clock tells."""

from __future__ import annotations

from typing import Optional, Sequence, Type, TypeVar

from ..errors import RunnerError
from .onnxruntime import OnnxModel, onnxruntime

PROVIDER = "CUDAExecutionProvider"

Model = TypeVar("Model", bound=OnnxModel)


class OnnxCudaModel(OnnxModel):
    """An ONNX file whose nodes run on the GPU; those that cannot are run by the CPU, as everywhere."""

    name = "onnxruntime-cuda"


def open_on(
    providers: Sequence[str], kind: Type[Model], path: str, threads: int, unknown: RunnerError, unusable: str, cure: str
) -> Model:
    """Loads an ONNX file with the first of some providers, never with another in its place unseen.

    Args:
        providers: By rank; those after the first take the nodes that it cannot.
        kind: The model's class.
        path: The file.
        threads: For what is left to the CPU.
        unknown: Raised when this onnxruntime has no such provider.
        unusable: What was not found where it falls back from it: a CPU's time is no GPU's.
        cure: What to do about that.

    Raises:
        RunnerError: In either case.
    """
    if providers[0] not in onnxruntime.get_available_providers():
        raise unknown
    model = kind(path, threads, providers)
    if model.providers[0] != providers[0]:
        raise RunnerError(f"{path}: onnxruntime found no usable {unusable}", cure)
    return model


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
    unknown = RunnerError("this onnxruntime knows no GPU", "run: pip install onnxruntime-gpu (and remove onnxruntime)")
    return open_on([provider], OnnxCudaModel, path, threads, unknown, "GPU", "check the driver with: nvidia-smi")
