"""Smaller models from larger ones: fewer layers, fewer heads, fewer FFN neurons."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from edgedistil.errors import UsageError
from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.modelling import EdgeBertHeadModel

_LAYERS = "encoder.layers."


def _build(config: EdgeBertConfig, weights: dict[str, Tensor], like: EdgeBertHeadModel) -> EdgeBertHeadModel:
    with torch.random.fork_rng(devices=[]):
        model = type(like)(config)
    model.load_state_dict(weights)
    return model.to(next(like.parameters())).train(like.training)


def take_layers(
    model: EdgeBertHeadModel, indices: Sequence[int], joined_layers: int | None = None
) -> EdgeBertHeadModel:
    """Returns a student with copies of some of a model's layers, its embeddings and its head.

    Args:
        model: The teacher; it is left as it is.
        indices: Its layers to copy, 0-based, in the student's order.
        joined_layers: Last layers that a token head reads; as many as the teacher's by default. Of layers counted
            from the last, those that the teacher's head reads too keep its weights; others start at zero.

    Raises:
        UsageError: When the teacher has no such layer, none is named, or more are joined than there are.
    """
    config = copy.deepcopy(model.config)
    layers = config.num_hidden_layers
    if not indices or any(not 0 <= index < layers for index in indices):
        raise UsageError(f"layers {list(indices)} cannot be taken", cure=f"the teacher has layers 0 to {layers - 1}")
    config.heads = [model.config.heads[index] for index in indices]
    config.ffn = [model.config.ffn[index] for index in indices]
    weights = {key: value for key, value in model.state_dict().items() if not key.startswith(_LAYERS)}
    joined = joined_layers or config.joined_layers
    if joined > len(indices) or (joined > 1 and model.head != "token"):
        raise UsageError(
            f"{joined} layers cannot be joined before the {model.head} head of a student of {len(indices)}",
            cure="only a token head joins layers, and at most all of them",
        )
    if joined != config.joined_layers:
        weights["classifier.weight"] = _joined(weights["classifier.weight"], config.joined_layers, joined)
        config.joined_layers = joined
    for number, index in enumerate(indices):
        for key, value in model.encoder.layers[index].state_dict().items():
            weights[f"{_LAYERS}{number}.{key}"] = value
    return _build(config, weights, model)


def _joined(weight: Tensor, before: int, after: int) -> Tensor:
    parts = list(weight.chunk(before, dim=1))[-after:]
    return torch.cat([*([torch.zeros_like(parts[0])] * (after - len(parts))), *parts], dim=1)


def head_columns(heads: Sequence[int], head_size: int) -> list[int]:
    """Returns the rows of query, key and value, and the columns of the output, that belong to some heads."""
    return [head * head_size + offset for head in heads for offset in range(head_size)]


def _check_kept(config: EdgeBertConfig, heads: Sequence[Sequence[int]], ffn: Sequence[Sequence[int]]) -> None:
    for name, kept, sizes in (("heads", heads, config.heads), ("FFN neurons", ffn, config.ffn)):
        if len(kept) != len(sizes):
            raise ValueError(f"{name} kept are listed for {len(kept)} layers of {len(sizes)}")
        for layer, (indices, size) in enumerate(zip(kept, sizes, strict=True)):
            if len(set(indices)) != len(indices) or any(not 0 <= index < size for index in indices):
                raise ValueError(f"{name} kept in layer {layer} repeat or do not exist")


def _keep_sublayer(
    weights: dict[str, Tensor], inputs: Sequence[str], output: str, kept: Sequence[int]
) -> dict[str, Tensor]:
    """Slices one sublayer's tensors; without any column left, its output's bias remains alone."""
    sliced = {f"{output}.bias": weights[f"{output}.bias"]}
    if kept:
        index = torch.as_tensor(kept, device=weights[f"{output}.bias"].device)
        sliced[f"{output}.weight"] = weights[f"{output}.weight"].index_select(1, index)
        for name in inputs:
            for kind in ("weight", "bias"):
                sliced[f"{name}.{kind}"] = weights[f"{name}.{kind}"].index_select(0, index)
    return sliced


def keep(
    model: EdgeBertHeadModel,
    heads_kept: Sequence[Sequence[int]],
    ffn_kept: Sequence[Sequence[int]],
) -> EdgeBertHeadModel:
    """Returns a model that physically holds only some heads and FFN neurons of each layer.

    Args:
        model: The larger model; it is left as it is.
        heads_kept: For each layer, the heads to keep, 0-based; none is allowed.
        ffn_kept: For each layer, the FFN neurons to keep, 0-based; none is allowed.

    Raises:
        ValueError: When the lists do not fit the model.
    """
    _check_kept(model.config, heads_kept, ffn_kept)
    config = copy.deepcopy(model.config)
    config.heads = [len(kept) for kept in heads_kept]
    config.ffn = [len(kept) for kept in ffn_kept]
    weights = model.state_dict()
    kept_weights = {key: value for key, value in weights.items() if ".attention." not in key and ".ffn." not in key}
    for layer, (heads, neurons) in enumerate(zip(heads_kept, ffn_kept, strict=True)):
        attention, ffn = f"{_LAYERS}{layer}.attention", f"{_LAYERS}{layer}.ffn"
        inputs = [f"{attention}.{name}" for name in ("query", "key", "value")]
        columns = head_columns(heads, config.head_size)
        kept_weights |= _keep_sublayer(weights, inputs, f"{attention}.output", columns)
        kept_weights |= _keep_sublayer(weights, [f"{ffn}.up"], f"{ffn}.down", neurons)
    return _build(config, kept_weights, model)


def masked(
    model: EdgeBertHeadModel,
    heads_kept: Sequence[Sequence[int]],
    ffn_kept: Sequence[Sequence[int]],
) -> EdgeBertHeadModel:
    """Returns a model of the same size whose removed heads and neurons no longer reach the residual stream.

    It computes what `keep` computes; the two are held against each other.

    Args:
        model: The model; it is left as it is.
        heads_kept: For each layer, the heads to keep, 0-based.
        ffn_kept: For each layer, the FFN neurons to keep, 0-based.

    Raises:
        ValueError: When the lists do not fit the model.
    """
    _check_kept(model.config, heads_kept, ffn_kept)
    same = copy.deepcopy(model)
    with torch.no_grad():
        for layer, heads, neurons in zip(same.encoder.layers, heads_kept, ffn_kept, strict=True):
            columns = head_columns(heads, model.config.head_size)
            for linear, kept in ((layer.attention.output, columns), (layer.ffn.down, neurons)):
                if hasattr(linear, "weight"):
                    alive = torch.zeros(linear.weight.shape[1]).index_fill_(0, torch.tensor(kept, dtype=torch.long), 1)
                    linear.weight.mul_(alive.to(linear.weight))
    return same
