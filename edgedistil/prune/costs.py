"""What a sublayer costs at a width, in each kind of budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgedistil.bench.latency import LatencyTable
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.size import (
    count_parameters,
    head_macs,
    head_parameters,
    neuron_macs,
    neuron_parameters,
)
from edgedistil.prune.blocks import Kind, Sublayer
from edgedistil.prune.settings import SHARES, PruneSettings


class CostModel(Protocol):
    """Costs that add up over sublayers."""

    @property
    def unit(self) -> str:
        """What costs are counted in: `parameters`, `macs`, `ms`, `instructions` or `MB`."""

    def rest(self, config: EdgeBertConfig) -> float:
        """Returns what pruning cannot remove, in `unit`; 0 where the budget leaves it out."""

    def width(self, config: EdgeBertConfig, layer: int, kind: Kind, columns: int) -> float:
        """Returns what a sublayer costs with so many columns of its output Linear, in `unit`."""


@dataclass(frozen=True)
class Counted:
    """Parameters or multiply-accumulates; the budget is a share of what can be removed.

    Attributes:
        unit: `parameters` or `macs`.
        sequence_length: Tokens of the text whose multiply-accumulates are counted.
    """

    unit: str
    sequence_length: int = 128

    def rest(self, config: EdgeBertConfig) -> float:
        """Returns 0: shares are of what can be removed."""
        del config
        return 0.0

    def width(self, config: EdgeBertConfig, layer: int, kind: Kind, columns: int) -> float:
        """Returns parameters or multiply-accumulates."""
        del layer
        macs = self.unit == "macs"
        if kind == "attention":
            head = head_macs(config, self.sequence_length) if macs else head_parameters(config)
            return columns * head / config.head_size
        return float(columns * (neuron_macs(config, self.sequence_length) if macs else neuron_parameters(config)))


_BYTES = {"onnx-fp32": 4.0, "tflite-fp32": 4.0, "onnx-int8": 1.0, "tflite-int8": 1.0}
# An int8 weight's output channel brings a scale and a zero point: in fp32 and int8, or in fp32 and int64.
_CHANNEL_BYTES = {"onnx-int8": 5.0, "tflite-int8": 12.0}
_BIAS_BYTES = 4.0
# Measured: what a file's graph takes beside its weights, whatever their widths: once, and for each layer.
_GRAPH_BYTES = {
    "onnx-fp32": (5.0e3, 14.0e3),
    "onnx-int8": (12.6e3, 29.5e3),
    "tflite-fp32": (11.5e3, 25.7e3),
    "tflite-int8": (8.0e3, 7.6e3),
}


@dataclass(frozen=True)
class FileSize:
    """Megabytes (10^6 bytes) of the exported file.

    Attributes:
        format: Key of the bundle's formats.
        overhead: Bytes that a measured file had above what was foretold.
        unit: `MB`.
        pieces: Word pieces that the file will have, where the vocabulary is trimmed; None for the model's own.
        lengths: Lengths that a TFLite file is made for, each with its own graph, and positions in fp32. Without, one
            graph and all positions are counted.
    """

    format: str
    overhead: float = 0.0
    unit: str = "MB"
    pieces: int | None = None
    lengths: tuple[int, ...] = ()

    def rest(self, config: EdgeBertConfig) -> float:
        """Returns the size of embeddings, norms, biases, classifier and graph, and the overhead.

        Biases and norms stay in fp32 in every file. A TFLite file quantises a vocabulary row by row.
        """
        counts = count_parameters(config)
        pieces = config.vocab_size if self.pieces is None else self.pieces
        words = pieces * config.hidden_size
        rows = config.vocab_size + config.max_position_embeddings
        others = counts.embeddings - rows * config.hidden_size + counts.classifier
        channels = pieces if self.format == "tflite-int8" else 0
        channels += 2 * config.hidden_size * config.num_hidden_layers
        size = words * _BYTES[self.format] + channels * _CHANNEL_BYTES.get(self.format, 0.0)
        size += others * _BYTES[self.format] + self._positions(config) + self._graph(config)
        return (size + 4.0 * counts.fixed + self.overhead) / 1e6

    def _positions(self, config: EdgeBertConfig) -> float:
        """Returns the bytes of position embeddings."""
        if self._is_static:
            return 4.0 * config.hidden_size * sum(self.lengths)
        return config.max_position_embeddings * config.hidden_size * _BYTES[self.format]

    def _graph(self, config: EdgeBertConfig) -> float:
        """Returns the bytes of everything but weights."""
        once, layer = _GRAPH_BYTES[self.format]
        return (once + layer * config.num_hidden_layers) * (len(self.lengths) if self._is_static else 1)

    @property
    def _is_static(self) -> bool:
        return bool(self.lengths) and self.format.startswith("tflite")

    def width(self, config: EdgeBertConfig, layer: int, kind: Kind, columns: int) -> float:
        """Returns the size of a sublayer's weights, scales and biases."""
        del layer
        inputs = 3 if kind == "attention" else 1
        weights = (inputs + 1) * config.hidden_size * columns * _BYTES[self.format]
        rows = inputs * columns * (_BIAS_BYTES + _CHANNEL_BYTES.get(self.format, 0.0))
        return (weights + rows) / 1e6


@dataclass(frozen=True)
class Latency:
    """What a device's table says.

    Attributes:
        table: The table.
        offset: What a measured model took above the table's word.
        scale: How much slower than its table the device was found to be.
    """

    table: LatencyTable
    offset: float = 0.0
    scale: float = 1.0

    @property
    def unit(self) -> str:
        """The table's unit."""
        return self.table.unit

    def rest(self, config: EdgeBertConfig) -> float:
        """Returns what a model without heads and neurons takes.

        Raises:
            EdgeDistilError: When the table is of another shape.
        """
        shape = self.table.setting.shape
        if (config.num_hidden_layers, config.hidden_size, config.head_size) != (
            shape.layers,
            shape.hidden_size,
            shape.head_size,
        ):
            raise EdgeDistilError(
                f"the latency table is of {shape.layers} layers of {shape.hidden_size}, the model has "
                f"{config.num_hidden_layers} of {config.hidden_size}",
                cure="make the table of this model: edgedistil profile",
            )
        return self.scale * self.table.rest + self.offset

    def width(self, config: EdgeBertConfig, layer: int, kind: Kind, columns: int) -> float:
        """Returns what the table says of a sublayer."""
        if kind == "attention":
            return self.scale * self.table.attention_cost(layer, columns // config.head_size)
        return self.scale * self.table.ffn_cost(layer, columns)


def cost_model(settings: PruneSettings, given: CostModel | None) -> CostModel:
    """Returns what a budget is counted in.

    Args:
        settings: The budget.
        given: The caller's: a `Latency` for `latency_ms` and `speedup`, a `FileSize` for `size_mb`.

    Raises:
        UsageError: When such a budget comes without one.
    """
    if settings.budget in SHARES:
        return given or Counted(settings.budget, settings.sequence_length)
    if given is None:
        what = "a file format" if settings.budget == "size_mb" else "a device's latency table"
        raise UsageError(f"the budget needs {what}", where=f"prune.{settings.budget}", cure="edgedistil profile")
    return given


def model_cost(costs: CostModel, config: EdgeBertConfig) -> float:
    """Returns what a whole model costs, by a cost model."""
    heads = sum(
        costs.width(config, layer, "attention", count * config.head_size) for layer, count in enumerate(config.heads)
    )
    return (
        costs.rest(config)
        + heads
        + sum(costs.width(config, layer, "ffn", count) for layer, count in enumerate(config.ffn))
    )


def level_costs(config: EdgeBertConfig, sublayer: Sublayer, order: tuple[int, ...], costs: CostModel) -> list[float]:
    """Returns what a sublayer costs at each level, from nothing removed to nothing left."""
    columns = sum(len(block) for block in sublayer.blocks)
    found = [costs.width(config, sublayer.layer, sublayer.kind, columns)]
    for block in order:
        columns -= len(sublayer.blocks[block])
        found.append(costs.width(config, sublayer.layer, sublayer.kind, columns))
    return found


def allowance(settings: PruneSettings, costs: CostModel, config: EdgeBertConfig) -> float:
    """Returns what the sublayers may cost together under a budget.

    Raises:
        UsageError: When the budget is less than what no pruning removes; the line names the nearest possible one.
    """
    whole, rest = model_cost(costs, config), costs.rest(config)
    if settings.budget in SHARES:
        return settings.amount * (whole - rest)
    asked = whole / settings.amount if settings.budget == "speedup" else settings.amount
    if asked < rest:
        raise impossible(settings, whole, rest, costs.unit)
    return asked - rest


def impossible(settings: PruneSettings, whole: float, least: float, unit: str) -> UsageError:
    """Returns the error of a target beyond the smallest model; it names the nearest possible one."""
    where = f"prune.{settings.budget}"
    if settings.budget == "speedup":
        return UsageError(
            f"{settings.amount:g} times faster is impossible: a model without any head or neuron is "
            f"{whole / least:.2f} times faster",
            where=where,
            cure=f"ask for at most {_floor(whole / least):g}",
        )
    return UsageError(
        f"{settings.amount:g} {unit} is impossible: a model without any head or neuron takes {least:.3g} {unit}",
        where=where,
        cure=f"ask for at least {_ceiling(least):g}",
    )


def _floor(value: float) -> float:
    return int(value * 100) / 100


def _ceiling(value: float) -> float:
    rounded = float(f"{value:.3g}")
    return rounded if rounded >= value else float(f"{value * 1.005:.3g}")
