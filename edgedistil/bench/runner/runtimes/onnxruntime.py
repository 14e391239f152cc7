"""ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from ..errors import RunnerError
from . import FloatArray, IntArray, chosen_outputs

# Read at import: a thread that reports on the user has no place in what is measured, or shipped.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
try:
    import onnxruntime
except ImportError as error:
    raise RunnerError("onnxruntime is not installed", "run: pip install onnxruntime") from error

Provider = Union[str, Tuple[str, Dict[str, str]]]
"""An execution provider's name, or that and its options."""

_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


class OnnxModel:
    """An ONNX file: any batch, any length up to the model's positions."""

    name = "onnxruntime"
    version: str = onnxruntime.__version__

    def __init__(self, path: str, threads: int, providers: Sequence[Provider] = ("CPUExecutionProvider",)) -> None:
        if not Path(path).is_file():
            raise RunnerError(f"{path}: no such file", "export it first")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=list(providers))
        except Exception as error:
            raise RunnerError(f"{path}: onnxruntime cannot load it ({error})", "export it again") from error
        self._inputs = {entry.name: entry.type for entry in self._session.get_inputs()}
        self._outputs = chosen_outputs([entry.name for entry in self._session.get_outputs()])

    @property
    def providers(self) -> List[str]:
        """What it runs on, by rank."""
        found: List[str] = self._session.get_providers()
        return found

    def _feed(self, input_ids: IntArray, attention_mask: IntArray) -> Dict[str, Any]:
        arrays = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": np.zeros_like(input_ids),
        }
        unknown = [name for name in self._inputs if name not in arrays]
        if unknown:
            raise RunnerError(
                f"the model asks for inputs nobody here can give: {', '.join(unknown)}",
                "export it with input_ids and attention_mask",
            )
        return {
            name: np.ascontiguousarray(arrays[name], dtype=_TYPES.get(kind, np.int64))
            for name, kind in self._inputs.items()
        }

    def run(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        """Runs one batch; see `Runtime.run`."""
        try:
            found = self._session.run(self._outputs, self._feed(input_ids, attention_mask))
        except RunnerError:
            raise
        except Exception as error:
            raise RunnerError(f"onnxruntime failed on an input of shape {input_ids.shape} ({error})") from error
        return np.asarray(found[0] if len(found) == 1 else np.stack(found, axis=-1), dtype=np.float32)

    def bind(self, input_ids: IntArray, attention_mask: IntArray) -> Callable[[], Any]:
        """Returns the bare call; see `Runtime.bind`."""
        feed, session, outputs = self._feed(input_ids, attention_mask), self._session, self._outputs
        return lambda: session.run(outputs, feed)

    def close(self) -> None:
        """Frees the session."""
        del self._session


def load(path: str, threads: int, sequence_length: Optional[int]) -> OnnxModel:
    """Loads an ONNX file; its sequence axis is dynamic, so any length will do."""
    del sequence_length
    return OnnxModel(path, threads)
