"""Ranges of a model's modules as ranges of an exported ONNX file's tensors."""

from __future__ import annotations

from pathlib import Path

from edgedistil.errors import require
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.quantise.products import Graph, Product, tensor_ranges
from edgedistil.quantise.ranges import Range, Ranges

_ALIKE = ("Reshape", "Transpose", "Slice", "Gather", "Squeeze", "Unsqueeze", "Identity")


def onnx_ranges(path: Path, model: EdgeBertHeadModel, ranges: Ranges) -> dict[str, Range]:
    """Returns the ranges of a file's tensors.

    Args:
        path: What `export_onnx` made of the model.
        model: The model, smoothed where it was exported so.
        ranges: By the names of its modules.

    Raises:
        EdgeDistilError: When a layer with a range is not in the file.
    """
    return tensor_ranges(_read(path), model, ranges, str(path))


def _read(path: Path) -> Graph:
    require("onnx", "host")
    import onnx
    from onnx import numpy_helper

    nodes = onnx.load(str(path)).graph
    constants = {one.name: one for one in nodes.initializer}
    graph = Graph()
    for node in nodes.node:
        if node.op_type == "Identity" and node.input[0] in constants:
            # The exporter stores equal constants, such as biases that are all zero, once.
            constants[node.output[0]] = constants[node.input[0]]
            continue
        varying = tuple(name for name in node.input if name and name not in constants)
        if node.op_type in ("MatMul", "Gemm"):
            weight = numpy_helper.to_array(constants[node.input[1]]) if node.input[1] in constants else None
            if weight is not None and not any(one.name == "transB" and one.i for one in node.attribute):
                weight = weight.T
            graph.products.append(Product(varying, node.output[0], weight))
        elif node.op_type in _ALIKE and node.input[0] in varying:
            graph.alike[node.output[0]] = node.input[0]
        elif node.op_type == "Add" and len(varying) == 1:
            graph.biased[node.output[0]] = varying[0]
    return graph
