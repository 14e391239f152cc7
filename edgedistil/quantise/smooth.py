"""SmoothQuant (Xiao et al. 2023, arXiv 2211.10438) for a post-norm BERT.

A linear layer computes W x = (W diag(s)) (diag(1/s) x); with s = max|x|^a / max|W|^(1-a), channel by channel (equation
4), outliers of the activations move into the weights, which have a scale a row and bear them better.

The paper puts diag(1/s) into the LayerNorm before the layer. In a post-norm model that norm's output is the residual
stream too, which would be changed; and GELU lets nothing through it. So here the input of query, key and value, of the
FFN's first layer and of its second is multiplied explicitly, where the calibration shows that it pays. Only the
attention's output layer costs nothing: what it reads is a mean of values, channel by channel, so that 1/s goes into the
rows of the value layer, exactly.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.quantise.batches import unpadded_batches
from edgedistil.quantise.fake import fake_activation, fake_weight
from edgedistil.quantise.scaling import Model, absolute_maximum, scale_inputs

ALPHAS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
LEAST_GAIN = 0.5
_MOST_TOKENS = 1024


@dataclass(frozen=True)
class Smoothing:
    """What became of one tensor that linear layers read.

    Attributes:
        layers: Names of the layers that read it.
        alpha: Share of the outliers that the weights bear; None where the tensor was left alone.
        folded: Whether the factors went into the value layer, and cost nothing.
        gain: Share of the layers' squared error, from rounding input and weights, that is gone.
        spread: Greatest absolute value of any channel over that of the median channel, before and after.
    """

    layers: tuple[str, ...]
    alpha: float | None
    folded: bool
    gain: float
    spread: tuple[float, float]


def smooth(
    model: Model,
    rows: EvaluationSet,
    *,
    alphas: Sequence[float] = ALPHAS,
    least_gain: float = LEAST_GAIN,
) -> tuple[Model, list[Smoothing]]:
    """Returns a smoothed copy that computes the same function, and what was done.

    Each tensor has the alpha of the least squared error of its layers' outputs, 8-bit input and weights against fp32,
    on the calibration rows.

    Args:
        model: In fp32; left as it is.
        rows: Training rows of the task.
        alphas: Those that are tried.
        least_gain: An explicit multiplication costs time, and is left out where it removes less of the error than this.
    """
    made = copy.deepcopy(model).eval()
    inputs = _collect(made, _groups(made), rows)
    done, factors = [], dict[str, Tensor]()
    for group in _groups(made):
        linears = [made.get_submodule(name) for name in group]
        folded = group[0].endswith("attention.output")
        found, scale = _search(group, inputs[group[0]], linears, alphas, folded, 0.0 if folded else least_gain)
        done.append(found)
        if found.alpha is None:
            continue
        with torch.no_grad():
            for linear in linears:
                linear.weight.mul_(scale)
        if folded:
            _fold(made, group[0], scale)
        else:
            factors |= dict.fromkeys(group, 1.0 / scale)
    return scale_inputs(made, factors).train(model.training), done


def _groups(model: EdgeBertHeadModel) -> list[tuple[str, ...]]:
    """Returns the encoder's linear layers, those together that read one tensor."""
    groups: list[tuple[str, ...]] = []
    for number, layer in enumerate(model.encoder.layers):
        stem = f"encoder.layers.{number}"
        if layer.attention.heads:
            groups += [tuple(f"{stem}.attention.{name}" for name in ("query", "key", "value"))]
            groups += [(f"{stem}.attention.output",)]
        if layer.ffn.neurons:
            groups += [(f"{stem}.ffn.up",), (f"{stem}.ffn.down",)]
    return groups


@torch.inference_mode()
def _collect(model: EdgeBertHeadModel, groups: Sequence[tuple[str, ...]], rows: EvaluationSet) -> dict[str, Tensor]:
    """Returns what each group's layers read, [tokens, in], on every so many tokens of each batch.

    Rows of one length give the same few places of a text. Tokens drawn alike from all places, with channels' greatest
    values of all tokens, made a student's files neither nearer to fp32 nor farther from it.
    """
    found: dict[str, list[Tensor]] = {group[0]: [] for group in groups}
    step = -(-int(rows.offsets[-1]) // _MOST_TOKENS)

    def keep(name: str) -> Callable[..., None]:
        return lambda _, args: found[name].append(args[0].flatten(0, 1)[::step].clone())

    hooks = [model.get_submodule(name).register_forward_pre_hook(keep(name)) for name in found]
    for ids, mask in unpadded_batches(rows):
        model(input_ids=ids, attention_mask=mask)
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(parts) for name, parts in found.items()}


@torch.no_grad()
def _search(
    group: tuple[str, ...],
    values: Tensor,
    linears: Sequence[nn.Linear],
    alphas: Sequence[float],
    folded: bool,
    least_gain: float,
) -> tuple[Smoothing, Tensor]:
    reach = absolute_maximum(values)
    bears = absolute_maximum(torch.cat([linear.weight for linear in linears]))
    before = _error(values, linears, torch.ones_like(reach))
    scales: Mapping[float, Tensor] = {alpha: reach**alpha / bears ** (1.0 - alpha) for alpha in alphas}
    errors = {alpha: _error(values, linears, scale) for alpha, scale in scales.items()}
    alpha = min(errors, key=errors.__getitem__)
    gain = 1.0 - errors[alpha] / max(before, 1e-30)
    spread = float(reach.max() / reach.median())
    if gain <= least_gain:
        return Smoothing(group, None, folded, 0.0, (spread, spread)), torch.ones_like(reach)
    smoothed = reach / scales[alpha]
    return (
        Smoothing(group, alpha, folded, gain, (spread, float(smoothed.max() / smoothed.median()))),
        scales[alpha],
    )


def _error(values: Tensor, linears: Sequence[nn.Linear], scale: Tensor) -> float:
    """Returns the layers' squared errors, each over its output's square, when s is divided out of their input."""
    divided = values / scale
    low, high = divided.min().clamp_max(0.0), divided.max().clamp_min(1e-8)
    seen = fake_activation(divided, low, high)
    total = 0.0
    for linear in linears:
        exact = values @ linear.weight.T
        total += float((seen @ fake_weight(linear.weight * scale).T - exact).square().sum() / exact.square().sum())
    return total


@torch.no_grad()
def _fold(model: EdgeBertHeadModel, output: str, scale: Tensor) -> None:
    value = model.get_submodule(output.removesuffix("output") + "value")
    assert isinstance(value, nn.Linear)  # noqa: S101 - a layer with heads has it
    value.weight.div_(scale[:, None])
    value.bias.div_(scale)
