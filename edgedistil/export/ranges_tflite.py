"""Ranges of a model's modules as ranges of an exported TFLite file's tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.errors import require
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.quantise.products import Graph, Product, tensor_ranges
from edgedistil.quantise.ranges import Range, Ranges
from edgedistil.quiet import silence

_ALIKE = ("RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "GATHER", "SQUEEZE", "EXPAND_DIMS")


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
