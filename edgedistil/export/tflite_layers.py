"""Which operations of a TFLite file belong to which layer, by the names that the exporter gives its tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedistil.errors import require
from edgedistil.export.layer_names import EMBEDDINGS, HEAD, attention_of, ffn_of, in_order
from edgedistil.quiet import silence

_LAYER = re.compile(r"ExportLayer_(\d+)")
_ROLE = re.compile(r"Linear_(query|key|value|output|up|down)\b")
_FFN = ("up", "down")


@dataclass(frozen=True)
class Product:
    """An operation with weights: a matrix product, or an embedding's look-up.

    Attributes:
        place: Number of its signature's graph, and its own number in it; the same operation has the same number in
            every signature.
        scope: The name by which ai-edge-quantizer's rules find it, of its output tensor.
        layer: The layer it is of.
        role: `query`, `key`, `value`, `output`, `up`, `down`; `embeddings` and `head` as their layers.
    """

    place: tuple[int, int]
    scope: str
    layer: str
    role: str


def products_of(path: Path) -> list[Product]:
    """Returns every operation with weights of an fp32 file, of all its signatures."""
    require("ai_edge_quantizer", "host")
    with silence():
        from ai_edge_quantizer.utils import tfl_flatbuffer_utils

        return list(_products(tfl_flatbuffer_utils.read_model(str(path)), tfl_flatbuffer_utils))


def _products(model: Any, utils: Any) -> Iterator[Product]:
    for number, graph in enumerate(model.subgraphs):
        for index, operation in enumerate(graph.operators):
            kind = utils.TFL_OP_CODE_TO_NAME.get(model.operatorCodes[operation.opcodeIndex].builtinCode)
            if kind in ("EMBEDDING_LOOKUP", "FULLY_CONNECTED"):
                scope = utils.get_op_scope(operation, graph.tensors)
                yield Product((number, index), scope, *_belonging(str(kind.value), scope))


def _belonging(kind: str, scope: str) -> tuple[str, str]:
    """Returns the layer and role of an operation.

    A product's name may hold the norm of the layer before it, folded into its weights, so the highest layer counts;
    products of one input are named after the first of them too, behind their own.
    """
    if kind == "EMBEDDING_LOOKUP":
        return EMBEDDINGS, EMBEDDINGS
    role, layers = _ROLE.search(scope), _LAYER.findall(scope)
    if role is None or not layers:
        return HEAD, HEAD
    layer = max(map(int, layers))
    return (ffn_of if role[1] in _FFN else attention_of)(layer), role[1]


def layers_of_tflite(path: Path) -> list[str]:
    """Returns the layers of an fp32 file that can be left in higher precision, from its input to its output."""
    return in_order(product.layer for product in products_of(path))


def pattern(scopes: Iterable[str]) -> str:
    """Returns the regular expression of a rule that finds exactly these operations."""
    return f"^(?:{'|'.join(re.escape(scope) for scope in scopes)})$"
