"""Which nodes of an ONNX file belong to which layer, by the names that the exporter gives them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgedistil.errors import UsageError, require
from edgedistil.export.layer_names import EMBEDDINGS, HEAD, attention_of, chosen, ffn_of, in_order

PRODUCTS = ("MatMul", "Gemm", "Gather")
_LAYER = re.compile(r"/layers\.(\d+)/(ffn/)?")


def layers_of_onnx(path: Path) -> list[str]:
    """Returns the layers of an fp32 file that can be left in higher precision, from its input to its output.

    Raises:
        UsageError: When it cannot be read.
    """
    return in_order(layer for layer, _ in _nodes(path, PRODUCTS))


def nodes_to_keep(path: Path, keep: Sequence[str], kinds: Sequence[str] | None = PRODUCTS) -> list[str]:
    """Returns the names of the nodes that a quantiser must leave alone, for its `nodes_to_exclude`.

    Args:
        path: The fp32 file.
        keep: Names of layers (`edgedistil.export.layer_names`).
        kinds: Operators that are quantised; None means any, as in a file where sums and norms are quantised too. Of
            `Gather`, only look-ups in a table of weights count: the others are arithmetic on shapes.

    Raises:
        UsageError: When a layer to keep is not in the file, or the file cannot be read.
    """
    known = layers_of_onnx(path)
    kept = chosen(keep, known)
    return [name for layer, name in _nodes(path, kinds) if layer in kept]


def _nodes(path: Path, kinds: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """Yields the layer and name of every node that counts."""
    require("onnx", "host")
    import onnx

    try:
        # A node has names and kinds without its weights, which may be 400 MB.
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:
        raise UsageError(f"no readable ONNX file ({error})", where=str(path)) from error
    tables = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 2}
    for node in graph.node:
        if (kinds is None or node.op_type in kinds) and (node.op_type != "Gather" or node.input[0] in tables):
            yield _layer(node), node.name


def _layer(node: Any) -> str:
    found = _LAYER.search(node.name)
    if found:
        return (ffn_of if found[2] else attention_of)(int(found[1]))
    return EMBEDDINGS if "/embeddings/" in node.name else HEAD
