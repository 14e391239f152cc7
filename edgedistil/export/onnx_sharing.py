"""Multiplications of one tensor by the same constant, of which a traced graph has one a linear layer, made one.

A smoothed model multiplies what query, key and value read three times over. Runtimes find that out for fp32 nodes, but
what is quantised behind each of the three stays three.
"""

from __future__ import annotations

import onnx
from onnx import ModelProto, NodeProto, numpy_helper


def share_multiplications(model: ModelProto) -> int:
    """Merges them in place.

    Args:
        model: A traced model; initialisers, and those that an `Identity` passes on, are its constants.

    Returns:
        How many nodes are gone.
    """
    graph = model.graph
    constants = {one.name: one for one in graph.initializer}
    aliases = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Identity" and node.input[0] in constants
    }
    first: dict[tuple[str, bytes], str] = {}
    instead: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Mul" and (held := constants.get(aliases.get(node.input[1], node.input[1]))) is not None:
            key = node.input[0], numpy_helper.to_array(held).tobytes()
            kept = first.setdefault(key, node.output[0])
            if kept != node.output[0]:
                instead[node.output[0]] = kept
    _drop(graph, [node for node in graph.node if node.output[0] in instead])
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = instead.get(name, name)
    drop_unread(graph)
    return len(instead)


def _drop(graph: onnx.GraphProto, nodes: list[NodeProto]) -> None:
    for node in nodes:
        graph.node.remove(node)


def drop_unread(graph: onnx.GraphProto) -> None:
    """Removes, in place, the nodes and constants whose results nothing reads any more."""
    while True:
        read = {name for node in graph.node for name in node.input} | {entry.name for entry in graph.output}
        unread = [node for node in graph.node if not read.intersection(node.output)]
        if not unread:
            break
        _drop(graph, unread)
    for held in [one for one in graph.initializer if one.name not in read]:
        graph.initializer.remove(held)
