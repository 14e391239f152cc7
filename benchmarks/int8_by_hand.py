"""What a user has who starts from the Hugging Face model: the peers' own exports, quantised by the peers.

`optimum-cli export onnx`, then `optimum-cli onnxruntime quantize` or NNCF's `quantize`; `litert_torch` of the same
model, then ai-edge-quantizer. In `int8_peers.py` the same tools are given our exports instead.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from int8_files import File, peer_files
from int8_peers import optimum_cli
from transformers import AutoModelForSequenceClassification, DistilBertForSequenceClassification

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.quiet import silence

ENDING = ", by hand"


def by_hand(model: DistilBertForSequenceClassification, length: int, rows: EvaluationSet, folder: Path) -> list[File]:
    """Returns the peers' files of a Hugging Face model, made in a folder.

    Args:
        model: In fp32.
        length: Tokens of the TFLite file's only signature.
        rows: Training text, for NNCF.
        folder: Where all is written.
    """
    source = folder / "model"
    model.save_pretrained(source)
    optimum_export(source, folder / "onnx")
    with silence():
        litert_convert(source, length, folder / "model.tflite")
    onnx, tflite = folder / "onnx" / "model.onnx", folder / "model.tflite"
    files = [
        File("optimum-cli export", "optimum-cli", "fp32", onnx, "onnxruntime"),
        File("litert_torch.convert", "litert-torch", "fp32", tflite, "litert"),
        *peer_files(onnx, tflite, source / "config.json", rows, folder / "peers", dev=None),
    ]
    return [replace(file, title=file.title + ENDING) for file in files]


def optimum_export(model: Path, target: Path) -> None:
    """Writes what `optimum-cli export onnx --task text-classification` makes of a model's folder."""
    optimum_cli("export", "onnx", "--model", str(model), "--task", "text-classification", str(target))


def litert_convert(model: Path, length: int, target: Path) -> None:
    """Writes what `litert_torch` makes of a model's folder; the signature has the name that our runner looks for."""
    import litert_torch
    import torch

    loaded = AutoModelForSequenceClassification.from_pretrained(model).eval()
    sample = {name: torch.ones(1, length, dtype=torch.int32) for name in ("input_ids", "attention_mask")}
    litert_torch.signature(f"length_{length}", loaded, sample_kwargs=sample).convert().export(str(target))
