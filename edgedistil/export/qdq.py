"""8-bit integers in an ONNX graph, written as QuantizeLinear and DequantizeLinear (QDQ) around what takes them.

The graph stays one of floating-point operators that any runtime can read; one that knows integer kernels fuses the
pairs into them. Weights are stored as integers before a DequantizeLinear. A table is looked up as integers and what
was found is dequantised, for a runtime that does not fuse the pair would otherwise dequantise the whole table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

from edgedistil.errors import EdgeDistilError
from edgedistil.quantise.ranges import Range

LINEAR = ("MatMul", "Gemm")

_LEAST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Step:
    """How a tensor is written as integers: real = scale * (integer - zero), one of each or one a channel.

    Attributes:
        scale: float32, [] or [channels].
        zero: int8 or uint8, of the same shape.
        axis: The channels' axis; None for one scale a tensor.
    """

    scale: np.ndarray
    zero: np.ndarray
    axis: int | None = None

    def quantise(self, values: np.ndarray) -> np.ndarray:
        """Returns the integers, of the zero's type, nearest to real values; ties to even, as ONNX has it."""
        shape = [-1 if axis == self.axis else 1 for axis in range(values.ndim)]
        scale, zero = (self.scale, self.zero) if self.axis is None else (self.scale.reshape(shape), self.zero[0])
        kind = np.iinfo(self.zero.dtype)
        return np.clip(np.rint(values / scale) + zero, kind.min, kind.max).astype(self.zero.dtype)


def weight_step(values: np.ndarray, axis: int | None, bits: int = 8) -> Step:
    """Returns the symmetric int8 step of a weight: its largest magnitude, a channel or in all, is the largest integer.

    Args:
        values: The weight.
        axis: The channels' axis; None for one scale.
        bits: 8, or 7 where sums of products of 8 bits saturate.
    """
    others = None if axis is None else tuple(other for other in range(values.ndim) if other != axis)
    largest = np.abs(values).max(axis=others)
    scale = np.where(largest > 0, largest, 1.0).astype(np.float32) / np.float32(2 ** (bits - 1) - 1)
    return Step(np.asarray(scale, dtype=np.float32), np.zeros(np.shape(scale), dtype=np.int8), axis)


def activation_step(found: Range, kind: str, *, symmetric: bool) -> Step:
    """Returns the step of an activation.

    Args:
        found: Least and greatest value to express; zero is expressed exactly, so the range is widened to hold it.
        kind: `uint8` or `int8`.
        symmetric: Put zero in the middle (at 128 or 0): no runtime then has to correct sums for it.
    """
    low, high = min(found[0], 0.0), max(found[1], 0.0)
    if symmetric:
        scale, zero = max(-low, high) / 127, 0
    else:
        scale = (high - low) / 255
        zero = round(-low / scale) - 128 if scale >= _LEAST else 0
    dtype = np.dtype(kind)
    offset = 128 if dtype == np.uint8 else 0
    return Step(np.asarray(scale if scale >= _LEAST else 1.0, dtype=np.float32), np.asarray(zero + offset, dtype=dtype))


class QdqGraph:
    """A model into which pairs are put.

    Args:
        model: Changed in place.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._pairs: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._before: dict[str, list[NodeProto]] = {}
        self._after: dict[str, list[NodeProto]] = {}
        self._aliases = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Identity"}

    @cached_property
    def constants(self) -> dict[str, onnx.TensorProto]:
        """Returns the stored tensors by name."""
        return {tensor.name: tensor for tensor in self.model.graph.initializer}

    @cached_property
    def producers(self) -> dict[str, NodeProto]:
        """Returns which node makes each tensor, in the graph as it was."""
        return {name: node for node in self.model.graph.node for name in node.output}

    def stored(self, name: str) -> np.ndarray | None:
        """Returns a stored tensor's values, seen through Identity nodes; None when it is computed."""
        tensor = self.constants.get(self._source(name))
        return None if tensor is None else numpy_helper.to_array(tensor)

    def values(self, name: str) -> np.ndarray:
        """Returns a stored tensor's values."""
        found = self.stored(name)
        assert found is not None, name  # noqa: S101 - callers ask for what they know to be stored
        return found

    def lookups(self) -> list[NodeProto]:
        """Returns the Gathers that look up rows of a stored table of real numbers."""
        found = []
        for node in self.model.graph.node:
            table = self.constants.get(self._source(node.input[0])) if node.op_type == "Gather" else None
            if table is not None and len(table.dims) == 2 and table.data_type == onnx.TensorProto.FLOAT:
                found.append(node)
        return found

    def _source(self, name: str) -> str:
        while name in self._aliases:
            name = self._aliases[name]
        return name

    def add(self, name: str, values: np.ndarray) -> str:
        """Stores a tensor unless there is one of the name; returns the name."""
        if name not in self.constants:
            tensor = numpy_helper.from_array(values, name)
            self.model.graph.initializer.append(tensor)
            self.constants[name] = tensor
        return name

    def _parameters(self, name: str, step: Step) -> list[str]:
        return [self.add(f"{name}_scale", step.scale), self.add(f"{name}_zero", step.zero)]

    def quantise_input(self, node: NodeProto, index: int, step: Step) -> None:
        """Puts a pair before one input of a node.

        Nodes that take the same tensor share an unsigned pair. A signed one is not shared: ONNX Runtime rewrites it as
        unsigned for x86, and does so only where one node alone takes it; its products would stay in fp32.
        """
        name = node.input[index]
        shared = step.zero.dtype == np.uint8
        if shared and name in self._pairs:
            node.input[index] = self._pairs[name]
            return
        number = self._counts[name] = self._counts.get(name, 0) + 1
        own = name if number == 1 else f"{name}_{number}"
        parameters = self._parameters(own, step)
        self._before[node.name] = [
            *self._before.get(node.name, []),
            onnx.helper.make_node("QuantizeLinear", [name, *parameters], [f"{own}_q"], f"{own}_Q"),
            onnx.helper.make_node("DequantizeLinear", [f"{own}_q", *parameters], [f"{own}_dq"], f"{own}_DQ"),
        ]
        node.input[index] = self._pairs[name] = f"{own}_dq"

    def quantise_weight(self, node: NodeProto, index: int, step: Step) -> None:
        """Stores one constant input of a node as integers, dequantised before the node."""
        name = self._source(node.input[index])
        if name not in self._pairs:
            inputs = [self._store(name, step), *self._parameters(name, step)]
            made = onnx.helper.make_node("DequantizeLinear", inputs, [f"{name}_dq"], f"{name}_DQ", axis=step.axis or 0)
            self._before[node.name] = [*self._before.get(node.name, []), made]
            self._pairs[name] = f"{name}_dq"
        node.input[index] = self._pairs[name]

    def quantise_table(self, node: NodeProto, step: Step) -> None:
        """Stores the table that a Gather looks up as integers, dequantised behind the Gather.

        Args:
            node: The Gather.
            step: Of one scale a row, and zeros.
        """
        name, output = self._source(node.input[0]), node.output[0]
        scale = self.add(f"{name}_scale", step.scale[:, None])
        rows, real, scales = (f"{output}_{part}" for part in ("q", "real", "scale"))
        node.input[0], node.output[0] = self._store(name, step), rows
        self._after[node.name] = [
            onnx.helper.make_node("Gather", [scale, node.input[1]], [scales], f"{output}_SCALE"),
            onnx.helper.make_node("Cast", [rows], [real], f"{output}_CAST", to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Mul", [real, scales], [output], f"{output}_DQ"),
        ]

    def behind(self, node: NodeProto, nodes: Iterable[NodeProto]) -> None:
        """Puts nodes right behind one."""
        self._after[node.name] = list(nodes)

    def _store(self, name: str, step: Step) -> str:
        if f"{name}_q" not in self.constants:
            self.add(f"{name}_q", step.quantise(numpy_helper.to_array(self.constants[name])))
        return f"{name}_q"

    def finish(self) -> onnx.ModelProto:
        """Returns the model, its nodes in order and without the constants that nothing reads any more."""
        graph = self.model.graph
        nodes = [
            made
            for node in graph.node
            for made in (*self._before.get(node.name, ()), node, *self._after.get(node.name, ()))
        ]
        used = {name for node in nodes for name in node.input} | {entry.name for entry in graph.output}
        nodes = [node for node in nodes if node.op_type != "Identity" or node.output[0] in used]
        used = {name for node in nodes for name in node.input}
        kept = [tensor for tensor in graph.initializer if tensor.name in used]
        for field, values in ((graph.node, nodes), (graph.initializer, kept)):
            _replace(field, values)
        del graph.value_info[:]
        return self.model


def _replace(field: object, values: Iterable[object]) -> None:
    held = list(values)
    del field[:]  # type: ignore[attr-defined]
    field.extend(held)  # type: ignore[attr-defined]


def open_graph(source: Path) -> QdqGraph:
    """Reads a file.

    Raises:
        EdgeDistilError: When it is no readable ONNX file.
    """
    try:
        return QdqGraph(onnx.load(str(source)))
    except Exception as error:
        raise EdgeDistilError(f"cannot quantise it ({error})", where=str(source)) from error


def linear_nodes(graph: QdqGraph) -> list[NodeProto]:
    """Returns the products with stored weights, but for the one that gives the logits."""
    products = [node for node in graph.model.graph.node if node.op_type in LINEAR]
    return [node for node in products if graph.stored(node.input[1]) is not None and not _gives_logits(graph, node)]


def transposed(product: NodeProto) -> bool:
    """Returns whether a product's weight is stored as [out, in]."""
    return any(attribute.name == "transB" and attribute.i for attribute in product.attribute)


def _gives_logits(graph: QdqGraph, product: NodeProto) -> bool:
    waiting = [entry.name for entry in graph.model.graph.output]
    while waiting:
        node = graph.producers.get(waiting.pop())
        if node is product:
            return True
        if node is not None and node.op_type not in LINEAR:
            waiting += node.input
    return False
