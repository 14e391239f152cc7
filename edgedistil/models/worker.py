"""A bench worker that also runs a PyTorch model: `python -m edgedistil.models.worker`.

The bench itself never imports torch; it names this module for a bundle's PyTorch weights.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.quiet import quieten

quieten()

import torch
from torch import Tensor

from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.runtimes import FloatArray, IntArray, register
from edgedistil.bench.runner.worker import main
from edgedistil.errors import EdgeDistilError
from edgedistil.models.convert import load_model
from edgedistil.models.cuda import register_all


class TorchModel:
    """A model's safetensors, run eagerly in fp32 on the CPU: any batch, any length up to its positions."""

    name = "pytorch"
    version: str = str(torch.__version__)

    def __init__(self, path: str, threads: int, sequence_length: int | None) -> None:
        torch.set_num_threads(threads)
        if not Path(path).is_file():
            raise RunnerError(f"{path}: no such file", "export it first")
        try:
            self._model = load_model(Path(path).parent)
        except EdgeDistilError as error:
            raise RunnerError(f"{path}: {error.what}", error.cure or "") from error
        positions = self._model.config.max_position_embeddings
        if sequence_length is not None and sequence_length > positions:
            raise RunnerError(f"{path}: takes at most {positions} tokens", f"choose at most {positions}")

    def run(self, input_ids: IntArray, attention_mask: IntArray) -> FloatArray:
        """Runs one batch; see `Runtime.run`."""
        logits: Tensor = self.bind(input_ids, attention_mask)()
        return np.asarray(logits.numpy(), dtype=np.float32)

    def bind(self, input_ids: IntArray, attention_mask: IntArray) -> Callable[[], Any]:
        """Returns the bare call; see `Runtime.bind`."""
        ids, mask, model = torch.from_numpy(input_ids), torch.from_numpy(attention_mask), self._model

        def call() -> Tensor:
            with torch.inference_mode():
                return model(ids, mask).logits

        return call

    def close(self) -> None:
        """Frees the model."""
        del self._model


register("pytorch", TorchModel)
register_all()

if __name__ == "__main__":
    sys.exit(main())
