"""A model and its fake-quantised twin: prepared, calibrated, and turned back into a plain model and its ranges."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.models.encoder import Attention, Projection
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.progress import Progress, SilentProgress
from edgedistil.quantise.batches import unpadded_batches
from edgedistil.quantise.fake import ActivationQuantiser, RangeKind, fake_weight
from edgedistil.quantise.ranges import Range, Ranges
from edgedistil.quantise.scaling import Model, ScaledLinear, plain_linear

OPERANDS = ("query", "key", "probabilities", "value")


@dataclass(frozen=True)
class Config:
    """What is quantised, and how.

    Attributes:
        ranges: How activations' ranges come about: see `ActivationQuantiser`.
        weight_bits: Of the linear layers; 7 for processors whose 8-bit products saturate.
        operands: Quantise what attention's own two products take as well.
        outputs: Quantise what the encoder's linear layers give as well, as TFLite's static int8 does; but not the FFN's
            second layer, whose few huge values 8 bits express badly.
        skip: Names of linear layers, or their beginnings, that stay in floating point.
    """

    ranges: RangeKind = "learned"
    weight_bits: int = 8
    operands: bool = False
    outputs: bool = False
    skip: tuple[str, ...] = ()


class QuantisedLinear(nn.Linear):
    """A linear layer whose input and weight are fake-quantised; its parameters keep their names.

    Args:
        linear: Whose parameters are taken over, a `ScaledLinear`'s factors included.
        source: The input's quantiser, which layers that read the same tensor share.
        watch: Whether this layer is the one of them that observes.
        bits: Of the weight.
        result: The output's quantiser, if it has one.
    """

    factors: Tensor | None

    def __init__(
        self,
        linear: nn.Linear,
        source: ActivationQuantiser,
        *,
        watch: bool,
        bits: int,
        result: ActivationQuantiser | None = None,
    ) -> None:
        super().__init__(linear.in_features, linear.out_features, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.register_buffer("factors", linear.factors if isinstance(linear, ScaledLinear) else None)
        self.source = source
        self.result = result
        self.watch = watch
        self.bits = bits

    def forward(self, hidden: Tensor) -> Tensor:
        """Returns [..., out] of [..., in]."""
        scaled = hidden if self.factors is None else hidden * self.factors
        seen = self.source(scaled, watch=self.watch)
        weight = self.weight if self.source.observing else fake_weight(self.weight, self.bits)
        found = nn.functional.linear(seen, weight, self.bias)
        return found if self.result is None else self.result(found)

    def plain(self) -> nn.Linear:
        """Returns the layer that this one stands for."""
        linear = plain_linear(self)
        return linear if self.factors is None else ScaledLinear(linear, self.factors)


class QuantisedAttention(Attention):
    """Attention whose own two products take fake-quantised operands.

    Args:
        attention: Whose modules are taken over.
        kind: How the operands' ranges come about.
    """

    def __init__(self, attention: Attention, kind: RangeKind) -> None:
        nn.Module.__init__(self)
        self.heads, self.head_size, self.dropout = attention.heads, attention.head_size, attention.dropout
        self.query, self.key, self.value = attention.query, attention.key, attention.value
        self.output = attention.output
        self.operands = nn.ModuleDict({name: ActivationQuantiser(kind) for name in OPERANDS})

    def forward(self, hidden: Tensor, mask: Tensor | None, projections: list[Projection] | None = None) -> Tensor:
        """Returns the sublayer's output, as `Attention` does."""
        query, key, value = self.query(hidden), self.key(hidden), self.value(hidden)
        if projections is not None:
            projections.append((query, key, value))
        parts = {"query": query, "key": key, "value": value}
        query, key, value = (self._split(self.operands[name](part)) for name, part in parts.items())
        scores = query @ key.transpose(-1, -2) / self.head_size**0.5
        shares = (scores if mask is None else scores + mask.to(scores.dtype)).softmax(-1)
        shares = self.operands["probabilities"](shares)
        mixed = nn.functional.dropout(shares, self.dropout, self.training) @ value
        return self.output(mixed.transpose(1, 2).flatten(2))

    def plain(self) -> Attention:
        """Returns the sublayer that this one stands for, its linear layers as they are here."""
        made = Attention.__new__(Attention)
        nn.Module.__init__(made)
        made.heads, made.head_size, made.dropout = self.heads, self.head_size, self.dropout
        made.query, made.key, made.value, made.output = self.query, self.key, self.value, self.output
        return made.train(self.training)


def prepare(model: Model, config: Config | None = None) -> Model:
    """Returns a fake-quantised copy, which is to be calibrated before it is used.

    Args:
        model: In fp32; left as it is.
        config: What is quantised, and how.

    Raises:
        KeyError: When a name to skip is no linear layer's.
    """
    config = config or Config()
    made = copy.deepcopy(model)
    linears = {name: module for name, module in made.named_modules() if isinstance(module, nn.Linear)}
    skipped = {skip: [name for name in linears if f"{name}.".startswith(f"{skip}.")] for skip in config.skip}
    if unknown := [skip for skip, names in skipped.items() if not names]:
        raise KeyError(f"no linear layer is called {', '.join(unknown)}")
    left = {name for names in skipped.values() for name in names}
    sources: dict[str, ActivationQuantiser] = {}
    for name, linear in linears.items():
        if name not in left:
            first = input_of(name) not in sources
            source = sources.setdefault(input_of(name), ActivationQuantiser(config.ranges))
            rounded = config.outputs and name.startswith("encoder.") and not name.endswith("ffn.down")
            result = ActivationQuantiser(config.ranges) if rounded else None
            layer = QuantisedLinear(linear, source, watch=first, bits=config.weight_bits, result=result)
            made.set_submodule(name, layer)
    if config.operands:
        for layer in made.encoder.layers:
            if layer.attention.heads:
                layer.attention = QuantisedAttention(layer.attention, config.ranges)
    return made.to(next(model.parameters()).device).train(model.training)


def input_of(name: str) -> str:
    """Returns a name for what a linear layer reads: query, key and value of a layer read the same tensor."""
    stem, _, last = name.rpartition(".")
    return stem if last in ("query", "key", "value") else name


def quantisers(model: EdgeBertHeadModel) -> Iterator[ActivationQuantiser]:
    """Yields a prepared model's quantisers, each once."""
    return (module for module in model.modules() if isinstance(module, ActivationQuantiser))


@torch.inference_mode()
def calibrate(model: EdgeBertHeadModel, rows: EvaluationSet, progress: Progress | None = None) -> None:
    """Sets a prepared model's ranges to the least and greatest values seen, in fp32, on real text without padding.

    Args:
        model: Of `prepare`; its ranges are changed in place.
        rows: Training rows of the task.
        progress: Where the bar is shown.
    """
    for quantiser in quantisers(model):
        quantiser.set_range(0.0, 0.0)
    was_training = model.training
    model.eval()
    _observe(model, True)
    with (progress or SilentProgress()).bar("calibrating", len(rows)) as bar:
        for ids, mask in unpadded_batches(rows):
            model(input_ids=ids, attention_mask=mask)
            bar.advance(len(ids))
    _observe(model, False)
    model.train(was_training)


def _observe(model: EdgeBertHeadModel, value: bool) -> None:
    for quantiser in quantisers(model):
        quantiser.observing = value


def ranges_of(model: EdgeBertHeadModel) -> Ranges:
    """Returns a prepared model's ranges."""
    inputs, operands, outputs = dict[str, Range](), dict[str, Range](), dict[str, Range]()
    for name, module in model.named_modules():
        if isinstance(module, QuantisedLinear):
            inputs[name] = module.source.range()
            if module.result is not None:
                outputs[name] = module.result.range()
        if isinstance(module, QuantisedAttention):
            operands |= {f"{name}:{key}": module.operands[key].range() for key in OPERANDS}
    return Ranges(inputs, operands, outputs)


def set_ranges(model: EdgeBertHeadModel, ranges: Ranges) -> None:
    """Gives a prepared model ranges that were found elsewhere.

    Raises:
        KeyError: When they leave out a layer that is prepared.
    """
    for name, module in model.named_modules():
        if isinstance(module, QuantisedLinear):
            module.source.set_range(*ranges.inputs[name])
            if module.result is not None:
                module.result.set_range(*ranges.outputs[name])
        if isinstance(module, QuantisedAttention):
            for key in OPERANDS:
                module.operands[key].set_range(*ranges.operands[f"{name}:{key}"])


@torch.no_grad()
def strip(model: Model) -> tuple[Model, Ranges]:
    """Returns the plain model that a prepared one stands for, and its ranges; the prepared one is left as it is."""
    ranges = ranges_of(model)
    made = copy.deepcopy(model)
    for layer in made.encoder.layers:
        if isinstance(layer.attention, QuantisedAttention):
            layer.attention = layer.attention.plain()
    for name, module in list(made.named_modules()):
        if isinstance(module, QuantisedLinear):
            made.set_submodule(name, module.plain())
    return made, ranges
