"""ONNX, `weight_only_wi4_afp32`: 4-bit weights and words in blocks of 32 (MatMulNBits, GatherBlockQuantized), for size.

The kernel may round activations to int8 while it multiplies: measured on 6 x 384, that moves a logit by 0.111 on
average where fp32 activations move it by 0.111 as well, and it was no slower in one busy run. Embeddings are most of a
small model: with words in int8 the file of a pruned 6 x 384 model is 22.5 % of its fp32 one, in int4 16.0 %. Positions
are a small table, are added to every token, and lose nearly twice as much to 4 bits as words do (0.15 of their root
mean square, 0.09): they stay in int8.

onnxruntime's own quantiser of this kind needs a further package (onnx-ir); the integers are made by the same function
of its library here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto

from edgedistil.errors import require
from edgedistil.export.onnx_layers import nodes_to_keep
from edgedistil.export.qdq import QdqGraph, linear_nodes, open_graph, transposed, weight_step

BLOCK = 32
# Of how this writes files, for the key of the stage that keeps them.
VERSION = 2
_DOMAIN = "com.microsoft"


def quantise_onnx_int4(source: Path, target: Path, *, keep: Sequence[str] = (), block: int = BLOCK) -> None:
    """Writes the 4-bit form of an ONNX file; the same file gives the same bytes.

    Args:
        source: The fp32 file, as `export_onnx` writes it.
        target: Where to write; replaced.
        keep: Names of layers that stay in fp32 (`edgedistil.export.layer_names`).
        block: Weights of a column, or of a word, that share a scale: 16, 32, 64, 128 or 256.

    Raises:
        UsageError: When no layer has a name to keep.
        EdgeDistilError: When the file cannot be read.
    """
    require("onnxruntime", "host")
    graph = open_graph(source)
    kept = nodes_to_keep(source, keep) if keep else []
    for node in linear_nodes(graph):
        if node.name not in kept:
            _replace(graph, node, block)
    for node in graph.lookups():
        if node.name not in kept:
            _replace_table(graph, node, block)
    made = graph.finish()
    made.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
    target.unlink(missing_ok=True)
    onnx.save(made, str(target))


def _replace(graph: QdqGraph, node: NodeProto, block: int) -> None:
    """Turns a product in place into MatMulNBits, and the bias of a Gemm into a sum behind it."""
    weight = graph.values(node.input[1])
    weight = weight.T if transposed(node) else weight
    rows, columns = weight.shape
    packed, scales = _pack(weight, block)
    name, output = f"{node.name}_int4", node.output[0]
    inputs = [node.input[0], graph.add(f"{name}_weight", packed), graph.add(f"{name}_scale", scales)]
    bias = node.input[2] if len(node.input) > 2 else None
    product = onnx.helper.make_node(
        "MatMulNBits",
        inputs,
        [f"{output}_product" if bias else output],
        node.name,
        domain=_DOMAIN,
        K=rows,
        N=columns,
        bits=4,
        block_size=block,
        accuracy_level=4,
    )
    node.CopyFrom(product)
    if bias:
        graph.behind(node, [onnx.helper.make_node("Add", [product.output[0], bias], [output], f"{name}_bias")])


def _replace_table(graph: QdqGraph, node: NodeProto, block: int) -> None:
    """Turns a look-up of words in place into GatherBlockQuantized; one of anything else takes int8 rows."""
    values = graph.values(node.input[0])
    words = node.input[1] in {entry.name for entry in graph.model.graph.input}
    if not words or values.shape[1] % 2:
        graph.quantise_table(node, weight_step(values, 0))
        return
    packed, scales = _pack_rows(values, block)
    name = f"{node.name}_int4"
    inputs = [graph.add(f"{name}_table", packed), node.input[1], graph.add(f"{name}_scale", scales)]
    gather = onnx.helper.make_node(
        "GatherBlockQuantized",
        inputs,
        list(node.output),
        node.name,
        domain=_DOMAIN,
        bits=4,
        block_size=block,
        gather_axis=0,
        quantize_axis=1,
    )
    node.CopyFrom(gather)


def _pack_rows(values: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns 4-bit integers with 8 for zero, two a byte, the first lower: uint8 [rows, columns / 2], and scales.

    The value farthest from zero becomes 0, of which there is one more than of its opposite; its scale may be negative.

    Args:
        values: float32 [rows, columns], an even number of columns.
        block: Columns of a row that share a scale; scales are float32 [rows, blocks].
    """
    rows, columns = values.shape
    blocks = -(-columns // block)
    padded = np.zeros((rows, blocks * block), dtype=np.float32)
    padded[:, :columns] = values
    parts = padded.reshape(rows, blocks, block)
    farthest = np.take_along_axis(parts, np.abs(parts).argmax(-1)[..., None], -1)
    scales = np.where(farthest != 0, farthest, 1.0).astype(np.float32) / np.float32(-8)
    integers = np.clip(np.rint(parts / scales) + 8, 0, 15).astype(np.uint8).reshape(rows, -1)[:, :columns]
    return integers[:, 0::2] | integers[:, 1::2] << 4, scales[..., 0]


def _pack(weight: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns 4-bit integers with 8 for zero, uint8 [columns, blocks, block / 2], and scales, [columns * blocks].

    Args:
        weight: float32 [rows, columns].
        block: Rows that share a scale.
    """
    from onnxruntime.capi._pybind_state import quantize_matmul_4bits

    rows, columns = weight.shape
    blocks = -(-rows // block)
    packed = np.zeros((columns, blocks, block // 2), dtype=np.uint8)
    scales = np.zeros(columns * blocks, dtype=np.float32)
    zeros = np.zeros(columns * -(-blocks // 2), dtype=np.uint8)
    quantize_matmul_4bits(packed, np.ascontiguousarray(weight), scales, zeros, block, columns, rows, True)
    return packed, scales
