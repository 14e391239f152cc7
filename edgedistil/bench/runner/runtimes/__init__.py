"""The runtimes a file can be run with; each is one module here, or registered from outside."""

from __future__ import annotations

import importlib
from typing import Any, Callable, Dict, List, Optional, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..errors import RunnerError

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]


class Runtime(Protocol):
    """One loaded model file, ready to run on a fixed number of threads."""

    name: str
    version: str

    def run(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        """Runs one batch.

        Args:
            input_ids: Token ids, int64 [batch, length], padded on the right.
            attention_mask: 1 for a token, 0 for padding, int64 [batch, length].

        Returns:
            Logits, float32: [batch, labels] of a file that answers once a text; [batch, length, tags] of one that
            answers once a token, [batch, length, 2] where it names them `start_logits` and `end_logits`.

        Raises:
            RunnerError: When the file cannot take an input of this length.
        """

    def bind(self, input_ids: IntArray, attention_mask: IntArray) -> Callable[[], Any]:
        """Returns a call that runs this batch and nothing else: what is timed.

        Everything a caller does once (types, names, padding, choosing a signature) is done here, before the clock.
        """

    def close(self) -> None:
        """Frees the model."""

    # A runtime on an accelerator may also have `device_memory_mb() -> float`, its peak memory there in MB.


@runtime_checkable
class FixedLengths(Protocol):
    """A runtime whose files are made for some lengths alone: `run` takes the smallest that fits."""

    @property
    def lengths(self) -> List[int]:
        """The lengths in tokens, rising."""

    def run_at(self, length: int, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        """Runs one batch at one of the lengths, whichever would fit; see `Runtime.run`."""


Factory = Callable[[str, int, Optional[int]], Runtime]

_MODULES = {
    "onnxruntime": ".onnxruntime",
    "onnxruntime-cuda": ".onnxruntime_cuda",
    "onnxruntime-tensorrt": ".onnxruntime_tensorrt",
    "onnxruntime-tensorrt-fp16": ".onnxruntime_tensorrt_fp16",
    "openvino": ".openvino",
    "openvino-bf16": ".openvino_bf16",
    "litert": ".litert",
}
_FACTORIES: Dict[str, Factory] = {}


def register(name: str, factory: Factory) -> None:
    """Adds a runtime, or replaces one.

    Args:
        name: The name cases refer to it by.
        factory: Called with (path, threads, sequence_length); returns the loaded model.
    """
    _FACTORIES[name] = factory


def names() -> List[str]:
    """Returns the names of all runtimes known, installed or not."""
    return sorted({*_MODULES, *_FACTORIES})


def factory_of(name: str) -> Factory:
    """Imports a runtime without loading a model.

    Raises:
        RunnerError: When there is no such runtime, or its library is not installed.
    """
    if name not in _FACTORIES:
        if name not in _MODULES:
            raise RunnerError(f"no runtime named '{name}'", f"choose one of: {', '.join(names())}")
        module = importlib.import_module(_MODULES[name], __name__)
        register(name, module.load)
    return _FACTORIES[name]


def installed(name: str) -> bool:
    """Tells whether a runtime's library is installed."""
    try:
        factory_of(name)
    except RunnerError:
        return False
    return True


def chosen_outputs(names: List[str]) -> List[str]:
    """Returns which outputs are a file's answer: an answer's start and end, else `logits`, else the first."""
    if "start_logits" in names and "end_logits" in names:
        return ["start_logits", "end_logits"]
    return ["logits" if "logits" in names else names[0]]


def create(name: str, path: str, threads: int, sequence_length: Optional[int] = None) -> Runtime:
    """Loads a model file.

    Args:
        name: A runtime's name: `onnxruntime`, `litert` or one registered.
        path: The model file.
        threads: Threads one inference may use, at least 1.
        sequence_length: The longest input that is to be run, in tokens; a file of fixed shapes that is too short for
            it is refused here rather than at the first input. None does not ask.

    Returns:
        The loaded model.

    Raises:
        RunnerError: When the runtime is unknown or missing, or the file cannot be loaded.
    """
    if threads < 1:
        raise RunnerError(f"threads is {threads}", "give at least 1")
    return factory_of(name)(path, threads, sequence_length)
