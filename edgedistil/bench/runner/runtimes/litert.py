"""LiteRT (TensorFlow Lite), from ai-edge-litert or, on 32-bit ARM, tflite-runtime."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from ..errors import RunnerError
from . import FloatArray, IntArray, chosen_outputs

try:
    from ai_edge_litert.interpreter import Interpreter

    _PACKAGE = "ai-edge-litert"
except ImportError:
    try:
        from tflite_runtime.interpreter import Interpreter

        _PACKAGE = "tflite-runtime"
    except ImportError as error:
        raise RunnerError(
            "no LiteRT is installed", "run: pip install ai-edge-litert (on 32-bit ARM: tflite-runtime)"
        ) from error

_SIGNATURE = re.compile(r"length_(\d+)")


class LiteRtModel:
    """A `.tflite` file with one signature `length_<n>` a sequence length, batch 1."""

    name = "litert"
    version: str = f"{metadata.version(_PACKAGE)}"

    def __init__(self, path: str, threads: int) -> None:
        if not Path(path).is_file():
            raise RunnerError(f"{path}: no such file", "export it first")
        try:
            self._interpreter = Interpreter(model_path=path, num_threads=threads)
            signatures = self._interpreter.get_signature_list()
        except Exception as error:
            raise RunnerError(f"{path}: LiteRT cannot load it ({error})", "export it again") from error
        if _PACKAGE == "tflite-runtime" and self._holds_int8():
            raise RunnerError(
                f"{path}: tflite-runtime {self.version} gives an int8 file's every text the same answer",
                "use its fp32 file there, or ai-edge-litert on a 64-bit system",
            )
        found = {name: _SIGNATURE.fullmatch(name) for name in signatures}
        self._lengths = {int(match[1]): name for name, match in found.items() if match}
        if not self._lengths:
            raise RunnerError(
                f"{path}: has no signature named length_<n>, only: {', '.join(signatures) or 'none'}",
                "export it with edgedistil",
            )
        self._runners: Dict[int, Any] = {}

    def _holds_int8(self) -> bool:
        return any(tensor["dtype"] == np.int8 for tensor in self._interpreter.get_tensor_details())

    @property
    def lengths(self) -> List[int]:
        """The signatures' lengths in tokens, rising."""
        return sorted(self._lengths)

    def fit(self, length: int) -> int:
        """Returns the smallest signature's length that takes `length` tokens.

        Raises:
            RunnerError: When all are shorter.
        """
        fitting = [candidate for candidate in self._lengths if candidate >= length]
        if not fitting:
            raise RunnerError(
                f"an input of {length} tokens is longer than the file's longest signature, {max(self._lengths)}",
                "ask for fewer, or export it with a longer one",
            )
        return min(fitting)

    def _runner(self, length: int) -> Any:
        if length not in self._runners:
            self._runners[length] = self._interpreter.get_signature_runner(self._lengths[length])
        return self._runners[length]

    def _feed(
        self, input_ids: IntArray, attention_mask: IntArray, length: Optional[int] = None
    ) -> tuple[Any, Dict[str, Any]]:
        """Returns the signature runner for one row [length] and its inputs [1, n], padding taken off and put on."""
        used = int(np.flatnonzero(attention_mask)[-1]) + 1 if np.any(attention_mask) else 1
        length = self.fit(used) if length is None else length
        runner = self._runner(length)
        arrays = {"input_ids": input_ids, "attention_mask": attention_mask}
        feed = {}
        for name, details in runner.get_input_details().items():
            feed[name] = np.zeros((1, length), dtype=details["dtype"])
            if name in arrays:
                feed[name][0, :used] = arrays[name][:used]
            elif name != "token_type_ids":
                raise RunnerError(
                    f"the model asks for an input nobody here can give: {name}",
                    "export it with input_ids and attention_mask",
                )
        return runner, feed

    def run(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        """Runs one batch row by row, each in the smallest signature it fits; see `Runtime.run`."""
        return self._run(input_ids, attention_mask)

    def run_at(self, length: int, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        """Runs one batch row by row, each in the signature of this length; see `Runtime.run`."""
        return self._run(input_ids, attention_mask, length)

    def _run(self, input_ids: IntArray, attention_mask: IntArray, length: Optional[int] = None) -> FloatArray:
        rows = []
        for ids, mask in zip(input_ids, attention_mask):
            runner, feed = self._feed(ids, mask, length)
            try:
                outputs = runner(**feed)
            except Exception as error:
                raise RunnerError(f"LiteRT failed on a text of {len(ids)} tokens ({error})") from error
            found = [np.array(outputs[name][0], dtype=np.float32) for name in chosen_outputs(list(outputs))]
            logits = found[0] if len(found) == 1 else np.stack(found, axis=-1)
            rows.append(_at_length(logits, len(ids)) if logits.ndim > 1 else logits)
        return np.stack(rows)

    def bind(self, input_ids: IntArray, attention_mask: IntArray) -> Callable[[], Any]:
        """Returns the bare calls, one a row; see `Runtime.bind`."""
        calls = [self._feed(ids, mask) for ids, mask in zip(input_ids, attention_mask)]
        if len(calls) == 1:
            ((runner, feed),) = calls
            return lambda: runner(**feed)
        return lambda: [runner(**feed) for runner, feed in calls]

    def close(self) -> None:
        """Frees the interpreter."""
        self._runners.clear()
        del self._interpreter


def _at_length(logits: FloatArray, length: int) -> FloatArray:
    """Returns one row's logits a token, [signature, k], as [length, k]: what the signature padded is cut off again."""
    missing = max(0, length - len(logits))
    return np.pad(logits[:length], ((0, missing), (0, 0)))


def load(path: str, threads: int, sequence_length: Optional[int]) -> LiteRtModel:
    """Loads a `.tflite` file.

    Raises:
        RunnerError: When it cannot be loaded, or no signature takes `sequence_length` tokens.
    """
    model = LiteRtModel(path, threads)
    if sequence_length is not None:
        model.fit(sequence_length)
    return model
