"""OpenVINO on the CPU: opens ONNX files.

Its telemetry is its converter's, which is never called here: reading and compiling a file reports nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from ..errors import RunnerError
from . import FloatArray, IntArray, chosen_outputs

try:
    import openvino
except ImportError as error:
    raise RunnerError("openvino is not installed", "run: pip install openvino") from error

_ARRAYS = ("input_ids", "attention_mask", "token_type_ids")


class OpenVinoModel:
    """An ONNX file: any batch, any length up to the model's positions.

    What is bound, and so timed, is compiled for its own shape: 3 % faster on 6 x 768 in int8 at 128 tokens, and the
    shape is known wherever there is something to time. Texts of all lengths go through one form of dynamic shape, as
    compiling takes longer than an inference.

    Args:
        path: The file.
        threads: Threads an inference may use.
        precision: What floating-point nodes compute in: `f32` or `bf16`.
        sequence_length: Compiled for at once, with one row; None compiles the dynamic form.
    """

    name = "openvino"
    version: str = str(openvino.__version__).split("-")[0]

    def __init__(self, path: str, threads: int, precision: str = "f32", sequence_length: Optional[int] = None) -> None:
        if not Path(path).is_file():
            raise RunnerError(f"{path}: no such file", "export it first")
        self._core = openvino.Core()
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": precision,
        }
        self._requests: Dict[Tuple[int, ...], Any] = {}
        try:
            self._model = self._core.read_model(path)
            self._names = [entry.any_name for entry in self._model.inputs]
            self._outputs = chosen_outputs([entry.any_name for entry in self._model.outputs])
            if not self._unknown():
                self._request((1, sequence_length) if sequence_length else ())
        except Exception as error:
            told = " ".join(str(error).split())
            raise RunnerError(f"{path}: openvino cannot load it ({told})", "export it again") from error

    def _unknown(self) -> List[str]:
        return [name for name in self._names if name not in _ARRAYS]

    def _request(self, shape: Tuple[int, ...]) -> Any:
        """Returns the request of one shape; that of any shape for none."""
        if shape not in self._requests:
            model = self._model.clone()
            if shape:
                model.reshape({name: list(shape) for name in self._names})
            compiled = self._core.compile_model(model, "CPU", self._settings)
            self._requests[shape] = compiled.create_infer_request()
        return self._requests[shape]

    def _feed(self, input_ids: IntArray, attention_mask: IntArray) -> Dict[str, Any]:
        arrays = dict(zip(_ARRAYS, (input_ids, attention_mask, np.zeros_like(input_ids))))
        if self._unknown():
            raise RunnerError(
                f"the model asks for inputs nobody here can give: {', '.join(self._unknown())}",
                "export it with input_ids and attention_mask",
            )
        types = {entry.any_name: entry.element_type.to_dtype() for entry in self._model.inputs}
        return {name: np.ascontiguousarray(arrays[name], dtype=types[name]) for name in self._names}

    def run(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        """Runs one batch; see `Runtime.run`."""
        shape = input_ids.shape if input_ids.shape in self._requests else ()
        feed = self._feed(input_ids, attention_mask)
        try:
            request = self._request(shape)
            request.infer(feed)
            found = [np.array(request.get_tensor(name).data, dtype=np.float32) for name in self._outputs]
        except Exception as error:
            told = " ".join(str(error).split())
            raise RunnerError(f"openvino failed on an input of shape {input_ids.shape} ({told})") from error
        logits: FloatArray = found[0] if len(found) == 1 else np.stack(found, axis=-1)
        return logits

    def bind(self, input_ids: IntArray, attention_mask: IntArray) -> Callable[[], Any]:
        """Returns the bare call; see `Runtime.bind`."""
        feed, request = self._feed(input_ids, attention_mask), self._request(input_ids.shape)
        tensors = {name: openvino.Tensor(values) for name, values in feed.items()}

        def call() -> None:
            # Two bound calls of one shape share a request, so each gives its own tensors.
            for name, tensor in tensors.items():
                request.set_tensor(name, tensor)
            request.infer()

        return call

    def close(self) -> None:
        """Frees the model."""
        self._requests.clear()
        del self._model


def load(path: str, threads: int, sequence_length: Optional[int]) -> OpenVinoModel:
    """Loads an ONNX file, computing in fp32 where it is not quantised."""
    return OpenVinoModel(path, threads, sequence_length=sequence_length)
