"""ONNX, fp32: one graph with dynamic batch and sequence axes."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from edgedistil.errors import require
from edgedistil.models.modelling import EdgeBertForSequenceClassification

OPSET = 18
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "logits"


class LogitsOnly(torch.nn.Module):
    """A classifier whose forward takes two tensors and returns one, as exporters want it."""

    def __init__(self, model: EdgeBertForSequenceClassification) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Returns logits [batch, labels] for token ids and mask, both [batch, sequence]."""
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def export_onnx(model: EdgeBertForSequenceClassification, path: Path, opset: int = OPSET) -> None:
    """Writes a model as one ONNX file.

    The exporter is the tracing one: today's `optimum` exporter knows no model with unequal layers, and the graph of
    `dynamo=True` was neither smaller nor faster in ONNX Runtime.

    Args:
        model: In fp32; left in eval mode.
        path: Where to write.
        opset: ONNX operator set.
    """
    require("onnx", "host")
    import onnx

    ids = torch.ones(2, 8, dtype=torch.int64)
    axes = {name: {0: "batch", 1: "sequence"} for name in INPUTS} | {OUTPUT: {0: "batch"}}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            # The wrapper too: the exporter gives a module the mode back that it came in.
            LogitsOnly(model).eval(),
            (ids, torch.ones_like(ids)),
            str(path),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes=axes,
            opset_version=opset,
            do_constant_folding=True,
            dynamo=False,
        )
    onnx.checker.check_model(str(path), full_check=True)
