"""Ranges of a model's modules as a calibration result for ai-edge-quantizer, on an exported TFLite file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.errors import require
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.quantise.products import Graph, Product, tensor_ranges
from edgedistil.quantise.ranges import Range, Ranges
from edgedistil.quiet import silence

_ALIKE = ("RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "GATHER", "SQUEEZE", "EXPAND_DIMS")

Calibration = dict[str, dict[str, Any]]
"""ai-edge-quantizer's calibration result: statistics by the name of a tensor."""


def tflite_ranges(path: Path, model: EdgeBertHeadModel, ranges: Ranges) -> dict[str, Range]:
    """Returns the ranges of a file's tensors, of all its signatures together.

    Args:
        path: What `export_tflite` made of `with_unfolded_norms(model)`.
        model: The model, smoothed where it was exported so.
        ranges: By the names of its modules.

    Raises:
        EdgeDistilError: When a layer with a range is not in the file, as where the converter has folded the norms.
    """
    return tensor_ranges(_read(path), model, ranges, str(path))


def tflite_calibration(measured: Mapping[str, Mapping[str, Any]], found: Mapping[str, Range]) -> Calibration:
    """Returns a calibration result in which the ranges stand in for what was measured.

    Args:
        measured: Of `Quantizer.calibrate` on this file: the tensors that no range is about, such as sums and norms,
            keep theirs.
        found: Of `tflite_ranges`.
    """
    made: Calibration = {name: dict(statistics) for name, statistics in measured.items()}
    for name, (low, high) in found.items():
        shape = np.shape(made.get(name, {}).get("min", np.zeros(())))
        made[name] = made.get(name, {}) | {
            "min": np.full(shape, low, dtype=np.float32),
            "max": np.full(shape, high, dtype=np.float32),
        }
    return made


def _read(path: Path) -> Graph:
    require("ai_edge_quantizer", "host")
    with silence():
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_quantizer.utils import tfl_flatbuffer_utils

        file = tfl_flatbuffer_utils.read_model(tfl_flatbuffer_utils.get_model_content(str(path)))
    called = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    codes = [called[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in file.operatorCodes]
    graph = Graph()
    for part in file.subgraphs:
        for operator in part.operators:
            _add(graph, codes[operator.opcodeIndex], [int(one) for one in operator.inputs], operator, part, file)
    return graph


def _add(graph: Graph, code: str, inputs: list[int], operator: Any, part: Any, file: Any) -> None:
    names = [part.tensors[one].name.decode() if one >= 0 else "" for one in inputs]
    output = part.tensors[operator.outputs[0]].name.decode()
    if code == "FULLY_CONNECTED":
        weight = part.tensors[inputs[1]]
        data = file.buffers[weight.buffer].data
        values = None if data is None else np.frombuffer(bytes(data), np.float32).reshape(tuple(weight.shape))
        graph.products.append(Product(tuple(names[:1] if values is not None else names[:2]), output, values))
    elif code == "BATCH_MATMUL":
        graph.products.append(Product(tuple(names[:2]), output))
    elif code in _ALIKE:
        graph.alike[output] = names[0]
