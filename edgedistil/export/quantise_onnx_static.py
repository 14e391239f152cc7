"""ONNX, static int8 (`static_wi8_ai8`, QDQ): int8 weights a channel, int8 activations of ranges found beforehand.

What is quantised, in every runtime's own words a pair before: the input of every matrix product with weights but the
last, and the query and the key. What stays in fp32: residuals, LayerNorm, GELU, softmax and its product with the value,
and the layer that gives the logits. NNCF's placement for transformers is the same. The softmax's product in int8 was
no faster in OpenVINO; in ONNX Runtime it was, by 8 % in one busy run, and what it costs in accuracy was not measured.

How, measured on 6 x 384 (872 texts of SST-2 dev, mean difference of a logit from fp32, one place alone quantised):
what LayerNorm gives 0.033 with a zero point and 0.052 without, what GELU gives 0.024 and 0.053, so these have one; what
attention gives 0.005 and query and key 0.004 without, and there OpenVINO is faster without. Word embeddings 0.010 with
a scale a row and 0.040 with one a table. Weights a channel 0.010.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import NodeProto

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.errors import require
from edgedistil.export.calibration import calibrate, check_rows
from edgedistil.export.onnx_keys import split_key_transposes
from edgedistil.export.onnx_layers import nodes_to_keep
from edgedistil.export.onnx_shapes import fix_shapes
from edgedistil.export.qdq import QdqGraph, activation_step, linear_nodes, open_graph, transposed, weight_step
from edgedistil.export.quantise_onnx import needs_reduced_range
from edgedistil.export.range_methods import DEFAULT
from edgedistil.quantise.ranges import Range

# Of how this writes files, for the key of the stage that keeps them.
VERSION = 3

_MOVES = ("Transpose", "Reshape")


@dataclass(frozen=True)
class Place:
    """An input of a node that is quantised.

    Attributes:
        node: The node.
        index: Which of its inputs.
        owner: The matrix product it is quantised for, whose name tells the layer.
        symmetric: Whether zero stands in the middle.
    """

    node: NodeProto
    index: int
    owner: NodeProto
    symmetric: bool

    @property
    def tensor(self) -> str:
        """Returns the input's name."""
        return self.node.input[self.index]

    @property
    def weighted(self) -> bool:
        """Returns whether it is what a product with weights takes."""
        return self.node is self.owner


def quantise_onnx_static(
    source: Path,
    target: Path,
    *,
    rows: EvaluationSet | None = None,
    method: str = DEFAULT,
    activations: str = "uint8",
    reduce_range: bool | None = None,
    saved: Path | None = None,
    ranges: Mapping[str, Range] | None = None,
    keep: Sequence[str] = (),
) -> None:
    """Writes the static int8 form of an ONNX file; the same file, ranges and settings give the same bytes.

    Args:
        source: The fp32 file, as `export_onnx` writes it.
        target: Where to write; replaced.
        rows: Real text to calibrate on; needed unless `ranges` is given.
        method: How ranges are chosen: a key of `range_methods.METHODS`.
        activations: `uint8` or `int8`: the integers of activations that have a zero point. x86 multiplies unsigned with
            signed ones, ARM signed with signed.
        reduce_range: Keep weights to 7 bits. None asks this machine's processor; see `needs_reduced_range`.
        saved: Where the calibration is kept; see `calibrate`.
        ranges: Ranges found elsewhere, such as by training, by the tensor's name in the file; a product whose input is
            not among them stays in fp32.
        keep: Names of layers that stay in fp32 (`edgedistil.export.layer_names`).

    Raises:
        UsageError: When there is no text to calibrate on, or no layer of a name to keep.
        EdgeDistilError: When the file cannot be read or calibrated.
    """
    require("onnx", "host")
    graph = open_graph(source)
    fix_shapes(graph.model)
    kept = nodes_to_keep(source, keep) if keep else []
    places = _places(graph)
    found = ranges
    if found is None:
        # Whatever stays in fp32, the ranges are those of all places: found once for every choice of layers.
        found = calibrate(source, [place.tensor for place in places], check_rows(rows), method, saved).ranges
    places = [place for place in places if place.owner.name not in kept]
    bits = 7 if (needs_reduced_range() if reduce_range is None else reduce_range) else 8
    for place in places:
        if place.tensor in found:
            # A range that was trained with a zero point is kept as it is.
            symmetric = place.symmetric and (ranges is None or not place.weighted)
            _quantise(graph, place, found[place.tensor], "int8" if symmetric else activations, bits, symmetric)
    for node in graph.lookups():
        if node.name not in kept:
            graph.quantise_table(node, weight_step(graph.values(node.input[0]), 0))
    made = graph.finish()
    split_key_transposes(made)
    target.unlink(missing_ok=True)
    onnx.save(made, str(target))
    onnx.checker.check_model(str(target))


def _places(graph: QdqGraph) -> list[Place]:
    """Returns what is quantised: the inputs of products with weights, then queries and keys."""
    places = [Place(node, 0, node, _of_attention(graph, node.input[0])) for node in linear_nodes(graph)]
    for node in graph.model.graph.node:
        if node.op_type == "MatMul" and all(_of_attention(graph, name) for name in node.input):
            places += [_before_moves(graph, node, index) for index in (0, 1)]
    return places


def _of_attention(graph: QdqGraph, tensor: str) -> bool:
    """Returns whether a tensor has been split into heads, or put together from them."""
    return tensor in graph.producers and graph.producers[tensor].op_type in _MOVES


def _before_moves(graph: QdqGraph, product: NodeProto, index: int) -> Place:
    """Returns the place ahead of reshaping and transposing, which then move a quarter of the bytes."""
    node = product
    while (before := graph.producers[node.input[index]]).op_type in _MOVES:
        node, index = before, 0
    return Place(node, index, product, symmetric=True)


def _quantise(graph: QdqGraph, place: Place, found: Range, kind: str, bits: int, symmetric: bool) -> None:
    graph.quantise_input(place.node, place.index, activation_step(found, kind, symmetric=symmetric))
    if place.weighted:
        axis = 0 if transposed(place.node) else 1
        graph.quantise_weight(place.node, 1, weight_step(graph.values(place.node.input[1]), axis, bits))
