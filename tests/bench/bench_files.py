"""Tiny but real files: ONNX made node by node, TFLite converted once, both of the same little classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedistil.bench.cases import Case
from edgedistil.bench.facts import local_facts
from edgedistil.bench.measurement import Measurement
from edgedistil.bench.thermal import Conditions

VOCABULARY = 120
LABELS = 3
LENGTHS = (8, 16)


def weights(hidden: int) -> tuple[np.ndarray, np.ndarray]:
    """An embedding whose first columns carry the answer, and a head that reads them."""
    generator = np.random.default_rng(0)
    embedding = generator.normal(0, 0.1, (VOCABULARY, hidden)).astype(np.float32)
    for token in range(VOCABULARY):
        embedding[token, token % LABELS] += 1
    return embedding, np.eye(hidden, LABELS, dtype=np.float32)


def make_onnx(path: Path, hidden: int = 8, layers: int = 0, token_types: bool = False) -> Path:
    """A mean over embedded tokens, `layers` square products to take up time, and a linear head."""
    embedding, head = weights(hidden)
    # A 0-width product leaves the input as it is, at full cost.
    square = np.eye(hidden, dtype=np.float32)
    tensors = {"embedding": embedding, "head": head, "square": square, "last": np.array([2], dtype=np.int64)}
    tensors["one"] = np.array([1], dtype=np.int64)
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["x0"]),
        *(helper.make_node("MatMul", [f"x{i}", "square"], [f"x{i + 1}"]) for i in range(layers)),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask3"]),
        helper.make_node("Mul", [f"x{layers}", "mask3"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "one"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "one"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
        helper.make_node("MatMul", ["mean", "head"], ["logits"]),
    ]
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if token_types else [])]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", LABELS])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def make_tflite(path: Path) -> Path:
    """The same classifier, through the converter, one signature a length."""
    litert_torch: Any = pytest.importorskip("litert_torch")
    import torch

    embedding, head = (torch.from_numpy(part) for part in weights(8))

    class Tiny(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
            mask = attention_mask.unsqueeze(-1).float()
            mean = (torch.nn.functional.embedding(input_ids, embedding) * mask).sum(1) / mask.sum(1)
            return {"logits": mean @ head}

    model = Tiny().eval()
    converter: Any = litert_torch
    for length in LENGTHS:
        # Two tensors, not one twice: the exporter takes an aliased sample for one input.
        sample = {name: torch.ones(1, length, dtype=torch.long) for name in ("input_ids", "attention_mask")}
        converter = converter.signature(f"length_{length}", model, sample_kwargs=sample)
    converter.convert().export(str(path))
    return path


def case_of(path: Path, name: str = "tiny", **changes: Any) -> Case:
    runtime = "litert" if path.suffix == ".tflite" else "onnxruntime"
    fields = {"format": "onnx-fp32", "runtime": runtime, "threads": 1, "sequence_length": 8, **changes}
    return Case(name=name, bundle="test", path=path, **fields)


def make_measurement(**changes: Any) -> Measurement:
    """A measurement of no real file, with the changes asked for."""
    interval = {"value": 2.0, "low": 1.9, "high": 2.1}
    fields: dict[str, Any] = {
        "name": "ONNX fp32",
        "bundle": "b",
        "file": "onnx/model.onnx",
        "format": "onnx-fp32",
        "sha256": "0" * 64,
        "bytes": 10,
        "runtime": "onnxruntime",
        "runtime_version": "1",
        "threads": 1,
        "sequence_length": 8,
        "samples_ms": [2.0, 2.1, 1.9, 2.0],
        "blocks": [2, 2],
        "p50_ms": interval,
        "p90_ms": interval,
        "p99_ms": interval,
        "load_ms": 1.0,
        "first_ms": 3.0,
        "peak_memory_mb": 80.0,
        "device": local_facts(),
        "conditions": Conditions(),
        "started": "2030-01-01T00:00:00+00:00",
        "predictions": {"a": 1},
        "labels": {"a": 0},
        **changes,
    }
    return Measurement.model_validate(fields)
