"""Keys transposed in two steps, of which a runtime takes the last into the product of query and key.

A traced graph moves the key's axes at once, [batch, length, heads, size] to [batch, heads, size, length]. OpenVINO then
moves 8-bit keys in a node of its own before its fused attention, slowly; that the rows of a product are to be read as
columns it takes in. The static file of 6 x 768 became 5 % faster at 128 tokens on a processor with AMX, in ONNX
Runtime 2 %. In fp32 nothing was gained in ONNX Runtime.
"""

from __future__ import annotations

from onnx import ModelProto, NodeProto, helper

_AT_ONCE, _HEADS, _COLUMNS = [0, 2, 3, 1], [0, 2, 1, 3], [0, 1, 3, 2]


def split_key_transposes(model: ModelProto) -> int:
    """Writes every such transpose before a product as two, in place.

    Args:
        model: A traced model, quantised or not.

    Returns:
        How many there were.
    """
    nodes = list(model.graph.node)
    taken = {node.input[1] for node in nodes if node.op_type == "MatMul"}
    split = [node for node in nodes if node.op_type == "Transpose" and _axes(node) == _AT_ONCE]
    split = [node for node in split if node.output[0] in taken]
    for node in split:
        output, by_head = node.output[0], f"{node.output[0]}_by_head"
        place = list(model.graph.node).index(node)
        columns = helper.make_node("Transpose", [by_head], [output], f"{node.name}_columns", perm=_COLUMNS)
        node.output[0] = by_head
        node.attribute[0].ints[:] = _HEADS
        model.graph.node.insert(place + 1, columns)
    return len(split)


def _axes(node: NodeProto) -> list[int]:
    return [axis for attribute in node.attribute if attribute.name == "perm" for axis in attribute.ints]
