"""ONNX, fp32: one graph with dynamic batch and sequence axes."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from edgedistil.errors import require
from edgedistil.export.form import LogitsOnly, output_names
from edgedistil.models.modelling import EdgeBertHeadModel

OPSET = 18
INPUTS = ("input_ids", "attention_mask")


def export_onnx(model: EdgeBertHeadModel, path: Path, opset: int = OPSET) -> None:
    """Writes a model as one ONNX file.

    The exporter is the tracing one. `optimum`'s knows no model with unequal layers. The graph of `dynamo=True` (which
    needs onnxscript besides) was no faster in ONNX Runtime at 64 and 128 tokens, its file was no smaller, and
    the quantiser refuses it, as shape inference fails on it.
    The same model gives the same bytes.

    Args:
        model: In fp32; left in eval mode.
        path: Where to write.
        opset: ONNX operator set.
    """
    require("onnx", "host")
    import onnx

    from edgedistil.export.onnx_sharing import share_multiplications

    ids = torch.ones(2, 8, dtype=torch.int64)
    tokens, outputs = {0: "batch", 1: "sequence"}, output_names(model.head)
    axes = dict.fromkeys(INPUTS, tokens) | dict.fromkeys(outputs, {0: "batch"} if model.head == "sequence" else tokens)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            LogitsOnly(model),
            (ids, torch.ones_like(ids)),
            str(path),
            input_names=list(INPUTS),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=opset,
            do_constant_folding=True,
            dynamo=False,
        )
    made = onnx.load(str(path))
    if share_multiplications(made):
        onnx.save(made, str(path))
    onnx.checker.check_model(str(path), full_check=True)
