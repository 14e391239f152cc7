"""Which matrix product of an exported file is which layer of the model: told by its weights, whatever its name."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from edgedistil.errors import EdgeDistilError
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.quantise.ranges import Range, Ranges


@dataclass(frozen=True)
class Product:
    """A matrix product in a file.

    Attributes:
        inputs: Tensors that vary, in the product's order: one where the other is a weight, else two.
        output: Its result.
        weight: The constant one, [out, in].
    """

    inputs: tuple[str, ...]
    output: str
    weight: np.ndarray | None = None


@dataclass
class Graph:
    """What of a file's graph matters here; several signatures add up to one.

    Attributes:
        products: Its matrix products.
        alike: By a tensor, the one of which it only rearranges or picks values.
        biased: By a tensor, the product's output to which it only adds a constant.
    """

    products: list[Product] = field(default_factory=list)
    alike: dict[str, str] = field(default_factory=dict)
    biased: dict[str, str] = field(default_factory=dict)

    def origins(self, tensor: str) -> Iterator[str]:
        """Yields a tensor and those whose values it takes, which must have the same range."""
        yield tensor
        while tensor in self.alike:
            tensor = self.alike[tensor]
            yield tensor


def name_products(products: Sequence[Product], model: EdgeBertHeadModel) -> dict[str, str]:
    """Returns the name of the linear layer that a product is, by the product's output.

    Args:
        products: A file's.
        model: What was exported.
    """
    names = {_digest(weight): name for name, weight in _weights(model).items()}
    known = {one.output: names.get(_digest(one.weight)) for one in products if one.weight is not None}
    return {output: name for output, name in known.items() if name is not None}


def tensor_ranges(graph: Graph, model: EdgeBertHeadModel, ranges: Ranges, where: str) -> dict[str, Range]:
    """Returns the range of every tensor of a file that a range of the model is about.

    The tensors that a product's input is merely a rearrangement of have its range too, for a file's writer may round
    them there. The division of the queries by the root of the head's size stands in the query's weights.

    Args:
        graph: The file's.
        model: What was exported.
        ranges: By the names of the model's modules.
        where: The file, for errors.

    Raises:
        EdgeDistilError: When a layer with a range is not in the file.
    """
    named = name_products(graph.products, model)
    if missing := sorted(set(ranges.inputs) - set(named.values())):
        raise EdgeDistilError(
            f"the weights of {len(missing)} layers are not in it as they are in the model, {missing[0]} among them",
            where=where,
            cure="export it from this very model; for TFLite, from with_unfolded_norms(model)",
        )
    found: dict[str, Range] = {}
    for product in graph.products:
        for tensor, value in _of_product(product, graph, named, model, ranges):
            for origin in graph.origins(tensor):
                found[origin] = _union(found.get(origin), value)
    return found


def _of_product(
    product: Product, graph: Graph, named: Mapping[str, str], model: EdgeBertHeadModel, ranges: Ranges
) -> Iterator[tuple[str, Range]]:
    root = math.sqrt(model.config.head_size)
    if product.weight is not None:
        name = named.get(product.output, "")
        if name in ranges.inputs:
            yield product.inputs[0], ranges.inputs[name]
        if name in ranges.outputs:
            added = {whole: whole_of for whole_of, whole in graph.biased.items()}
            yield added.get(product.output, product.output), _shrunk(ranges.outputs[name], root, name)
        return
    first, second = (_layer(graph, named, tensor) for tensor in product.inputs)
    stem, _, kind = second.rpartition(".")
    pair = {"key": ("query", "key"), "value": ("probabilities", "value")}.get(kind)
    if pair is None or f"{stem}:{pair[0]}" not in ranges.operands or (kind == "key" and first != f"{stem}.query"):
        return
    yield product.inputs[0], _shrunk(ranges.operands[f"{stem}:{pair[0]}"], root, f"{stem}.{pair[0]}")
    yield product.inputs[1], ranges.operands[f"{stem}:{pair[1]}"]


def _shrunk(found: Range, root: float, name: str) -> Range:
    return (found[0] / root, found[1] / root) if name.endswith(".query") else found


def _layer(graph: Graph, named: Mapping[str, str], tensor: str) -> str:
    *_, origin = graph.origins(tensor)
    return named.get(graph.biased.get(origin, origin), "")


def _weights(model: EdgeBertHeadModel) -> dict[str, np.ndarray]:
    """Returns every linear layer's weight as it is exported, [out, in]."""
    root = math.sqrt(model.config.head_size)
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return {
        name: (linear.weight.detach().div(root) if name.endswith("attention.query") else linear.weight.detach()).numpy()
        for name, linear in linears.items()
    }


def _digest(weight: np.ndarray | None) -> bytes:
    assert weight is not None  # noqa: S101 - only products with one are asked for
    return hashlib.sha256(str(weight.shape).encode() + np.ascontiguousarray(weight).tobytes()).digest()


def _union(one: Range | None, other: Range) -> Range:
    return other if one is None else (min(one[0], other[0]), max(one[1], other[1]))
