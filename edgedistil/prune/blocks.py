"""The unit of pruning: the smallest piece of a sublayer whose removal makes a dense matrix smaller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from edgedistil.errors import UsageError
from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.modelling import EdgeBertForSequenceClassification

Kind = Literal["attention", "ffn"]


@dataclass(frozen=True)
class Sublayer:
    """One attention or FFN of a model, seen as blocks of columns of its output Linear.

    Attributes:
        layer: The encoder layer, 0-based.
        kind: `attention` (a block is a head) or `ffn` (a block is a group of neurons).
        blocks: The columns of each block, ascending; all blocks but the last are equally wide. A block's columns
            need not be neighbours.
    """

    layer: int
    kind: Kind
    blocks: tuple[Sequence[int], ...]

    @property
    def name(self) -> str:
        """A name for messages and tables, such as `layer 3 ffn`."""
        return f"layer {self.layer} {self.kind}"

    def output(self, model: EdgeBertForSequenceClassification) -> nn.Linear:
        """Returns the Linear whose columns the blocks are: `attention.output` or `ffn.down`."""
        layer = model.encoder.layers[self.layer]
        return layer.attention.output if self.kind == "attention" else layer.ffn.down

    def norm(self, model: EdgeBertForSequenceClassification) -> nn.LayerNorm:
        """Returns the norm behind the residual connection that the sublayer feeds."""
        layer = model.encoder.layers[self.layer]
        return layer.attention_norm if self.kind == "attention" else layer.output_norm

    def columns(self, blocks: list[int]) -> list[int]:
        """Returns the columns of some of the blocks, ascending."""
        return sorted(column for block in blocks for column in self.blocks[block])


def _split(columns: int, width: int) -> tuple[range, ...]:
    return tuple(range(start, min(start + width, columns)) for start in range(0, columns, width))


def sublayers_of(config: EdgeBertConfig, block: int = 32) -> list[Sublayer]:
    """Returns every attention and FFN that has something to remove, in the order of the computation.

    Args:
        config: The model's configuration.
        block: FFN neurons of one block; the target's tile, 16 or 32.

    Raises:
        UsageError: When `block` is not at least 1.
    """
    if block < 1:
        raise UsageError(f"an FFN block of {block} neurons cannot be removed", cure="choose 16 or 32")
    found: list[Sublayer] = []
    for layer, (heads, neurons) in enumerate(zip(config.heads, config.ffn, strict=True)):
        if heads:
            found.append(Sublayer(layer, "attention", _split(heads * config.head_size, config.head_size)))
        if neurons:
            found.append(Sublayer(layer, "ffn", _split(neurons, block)))
    return found
