"""PyTorch weights on an NVIDIA GPU, as a bench worker runs them: fp32, fp16 or bf16, each shape a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.runtimes import FloatArray, IntArray, Runtime, register
from edgedistil.errors import EdgeDistilError
from edgedistil.models.convert import load_model

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# Capture wants kernels chosen and buffers made before it; the CUDA graphs chapter of PyTorch's documentation warms up
# three times.
_WARM_RUNS = 3


class CudaModel:
    """A model on the GPU. A call ends when the GPU has: its stream is waited for, so that the host's clock tells.

    Args:
        path: Safetensors within the model's folder.
        dtype: Of weights and activations.
        device: `cuda`; tests give `cpu`, which has no graphs.

    Raises:
        RunnerError: When there is no GPU, or the model cannot be read.
    """

    version: str = str(torch.__version__)

    def __init__(self, path: str, dtype: str, device: str = "cuda") -> None:
        self.name = f"pytorch-cuda-{dtype}"
        if device == "cuda" and not torch.cuda.is_available():
            raise RunnerError("PyTorch finds no usable GPU", "check the driver with: nvidia-smi")
        if not Path(path).is_file():
            raise RunnerError(f"{path}: no such file", "export it first")
        try:
            self._model = load_model(Path(path).parent).to(device, DTYPES[dtype])
        except EdgeDistilError as error:
            raise RunnerError(f"{path}: {error.what}", error.cure or "") from error
        self._device = device

    def run(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        """Runs one batch, eagerly: a graph a shape would not be worth its making; see `Runtime.run`."""
        with torch.inference_mode():
            logits = self._model(*self._tensors(input_ids, attention_mask)).logits
        return np.asarray(logits.float().cpu().numpy(), dtype=np.float32)

    def bind(self, input_ids: IntArray, attention_mask: IntArray) -> Callable[[], Any]:
        """Returns the replay of a graph of this batch, inputs already on the GPU; see `Runtime.bind`."""
        ids, mask = self._tensors(input_ids, attention_mask)
        if self._device == "cpu":
            return lambda: self._forward(ids, mask)
        replay = self._capture(ids, mask)

        def call() -> None:
            replay()
            torch.cuda.synchronize()

        return call

    def device_memory_mb(self) -> float:
        """Returns the most GPU memory that PyTorch has held at once, in MB (10^6 bytes)."""
        return torch.cuda.max_memory_reserved() / 1e6 if self._device == "cuda" else 0.0

    def close(self) -> None:
        """Frees the model."""
        del self._model

    def _tensors(self, input_ids: IntArray, attention_mask: IntArray) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(input_ids).to(self._device), torch.from_numpy(attention_mask).to(self._device)

    @torch.inference_mode()
    def _forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self._model(ids, mask).logits
        return logits

    def _capture(self, ids: Tensor, mask: Tensor) -> Callable[[], None]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_RUNS):
                self._forward(ids, mask)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._forward(ids, mask)
        # A bound method holds its graph, and the graph its tensors.
        return graph.replay


def register_all() -> None:
    """Makes a runtime of every dtype known to the worker."""
    for dtype in DTYPES:
        register(f"pytorch-cuda-{dtype}", _factory(dtype))


def _factory(dtype: str) -> Callable[[str, int, int | None], Runtime]:
    def load(path: str, threads: int, sequence_length: int | None) -> CudaModel:
        del sequence_length
        torch.set_num_threads(threads)
        return CudaModel(path, dtype)

    return load
