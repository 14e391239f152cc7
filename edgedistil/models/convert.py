"""From the checkpoints others make to our models, to DistilBERT's form, and to and from our own files."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import BertConfig, DistilBertConfig, PretrainedConfig, PreTrainedModel

from edgedistil.checkpoint import check_config, read_config
from edgedistil.errors import UsageError
from edgedistil.models.checkpoint import locate, read_weights
from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.modelling import MODELS, EdgeBertHeadModel
from edgedistil.models.naming import decoder_name, modern_name, stated_head, their_name

_OUTPUTS = {"span": ("start", "end"), "regression": ("score",)}


def _bert_sizes(config: BertConfig, head: str) -> dict[str, Any]:
    dropout = config.hidden_dropout_prob
    classifier_dropout = dropout if config.classifier_dropout is None else config.classifier_dropout
    return {
        "heads": [config.num_attention_heads] * config.num_hidden_layers,
        "ffn": [config.intermediate_size] * config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "head_size": config.hidden_size // config.num_attention_heads,
        "type_vocab_size": config.type_vocab_size,
        "activation": config.hidden_act,
        "layer_norm_eps": config.layer_norm_eps,
        "dropout": dropout,
        "attention_dropout": config.attention_probs_dropout_prob,
        "classifier_dropout": 0.0 if head == "span" else classifier_dropout,
        "classifier_activation": "tanh",
    }


def _distilbert_sizes(config: DistilBertConfig, head: str) -> dict[str, Any]:
    dropouts = {"token": config.dropout, "span": config.qa_dropout}
    return {
        "heads": [config.n_heads] * config.n_layers,
        "ffn": [config.hidden_dim] * config.n_layers,
        "hidden_size": config.dim,
        "head_size": config.dim // config.n_heads,
        "type_vocab_size": 0,
        "activation": config.activation,
        "layer_norm_eps": 1e-12,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "classifier_dropout": dropouts.get(head, config.seq_classif_dropout),
        "classifier_activation": "relu",
    }


def head_of(theirs: Mapping[str, Any]) -> str | None:
    """Returns the head that a `config.json` says its checkpoint has; None where it says nothing, or has none."""
    if theirs.get("model_type") == EdgeBertConfig.model_type:
        return str(theirs.get("head", "sequence"))
    return stated_head(theirs.get("architectures"))


def problem_of(theirs: Mapping[str, Any]) -> str:
    """Returns `regression` for a checkpoint whose sequence head gives a value, else `classification`."""
    if theirs.get("model_type") == EdgeBertConfig.model_type:
        return str(theirs.get("problem", "classification"))
    one_value = head_of(theirs) == "sequence" and len(theirs.get("id2label") or (0, 1)) == 1
    return "regression" if theirs.get("problem_type") == "regression" or one_value else "classification"


def config_from(
    theirs: Mapping[str, Any],
    where: str,
    labels: Sequence[str] | None = None,
    head: str | None = None,
    problem: str | None = None,
) -> EdgeBertConfig:
    """Returns our configuration for a checkpoint's.

    Args:
        theirs: A `config.json` of type `bert`, `distilbert` or our own.
        where: The checkpoint, for messages.
        labels: Names of the outputs, in the order of the logits; the checkpoint's own by default.
        head: The head wanted; the checkpoint's own by default, `sequence` where it says nothing.
        problem: `classification` or `regression`; the checkpoint's own by default.

    Raises:
        UsageError: When the model is of another type or uses what we have not got.
    """
    check_config(theirs, where)
    kind = str(theirs["model_type"])
    head = head or head_of(theirs) or "sequence"
    if kind == EdgeBertConfig.model_type:
        config = EdgeBertConfig.from_dict(dict(theirs))
    else:
        source: PretrainedConfig = (BertConfig if kind == "bert" else DistilBertConfig).from_dict(dict(theirs))
        sizes = _bert_sizes(source, head) if kind == "bert" else _distilbert_sizes(source, head)
        shared = ("vocab_size", "max_position_embeddings", "pad_token_id", "initializer_range")
        config = EdgeBertConfig(
            **sizes,
            **{key: getattr(source, key) for key in shared},
            id2label=dict(source.id2label),
            separator_token_id=theirs.get("separator_token_id"),
        )
    config.head = head
    config.problem = problem or (problem_of(theirs) if head == "sequence" else "classification")
    config.joined_layers = config.joined_layers if head == "token" else 1
    return _named(config, labels)


def _named(config: EdgeBertConfig, labels: Sequence[str] | None) -> EdgeBertConfig:
    """Gives the outputs their names: those wanted, or where none are, those that a head of this kind must have."""
    if config.head == "masked-lm":
        return config
    fixed = _OUTPUTS.get("span" if config.head == "span" else config.problem)
    names = labels if labels is not None else fixed if fixed and config.num_labels != len(fixed) else None
    if names is not None:
        config.id2label = dict(enumerate(names))
        config.label2id = {label: number for number, label in enumerate(names)}
    return config


def _ours(weights: Mapping[str, Tensor], model: EdgeBertHeadModel, kind: str, where: str) -> dict[str, Tensor]:
    keys = list(model.state_dict())
    if kind == EdgeBertConfig.model_type:
        return {key: weights[key] for key in keys if key in weights}
    modern = {modern_name(key, kind): value for key, value in weights.items()}
    named = {key: their_name(key, kind, model.head) for key in keys}
    found = {key: modern[name] for key, name in named.items() if name in modern}
    decoder = modern.get(decoder_name(kind))
    if model.head == "masked-lm" and decoder is not None:
        words = found.get("encoder.embeddings.word.weight")
        if words is None or not torch.equal(decoder, words):
            raise UsageError(
                "its decoder is not tied to the word embedding",
                where=where,
                cure="use a checkpoint with tie_word_embeddings",
            )
    return found


def _fitting(model: EdgeBertHeadModel, found: dict[str, Tensor], stated: str | None) -> dict[str, Tensor]:
    """Returns the tensors to copy: a head made for another task or other labels is left out, to be drawn afresh."""
    wanted = model.state_dict()
    if stated not in (None, model.head):
        # BERT's pooler is of the encoder: every checkpoint's is as good a start.
        found = {key: value for key, value in found.items() if key.startswith(("encoder.", "pre_classifier."))}
    if "classifier.weight" in found and found["classifier.weight"].shape != wanted["classifier.weight"].shape:
        found = {key: value for key, value in found.items() if not key.startswith("classifier.")}
    if model.head == "masked-lm" and any(key not in found for key in wanted):
        found = {key: value for key, value in found.items() if key.startswith("encoder.")}
        model.config.drawn_head = True
    return found


def _fill(model: EdgeBertHeadModel, found: dict[str, Tensor], where: str) -> None:
    """Copies tensors into a model; only its head may be missing."""
    wanted = model.state_dict()
    missing = sorted(key for key in wanted if key not in found and key.startswith("encoder."))
    if missing:
        raise UsageError(
            f"the checkpoint lacks {len(missing)} tensors, {missing[0]} first",
            where=where,
            cure="fetch it again",
        )
    for key, value in found.items():
        if value.shape != wanted[key].shape:
            raise UsageError(
                f"{key} has shape {list(value.shape)}, its configuration says {list(wanted[key].shape)}",
                where=where,
                cure="use the config.json it was saved with",
            )
    model.load_state_dict(found, strict=False)


def from_checkpoint(
    source: str | Path | PreTrainedModel,
    labels: Sequence[str] | None = None,
    head: str | None = None,
    problem: str | None = None,
    separator_token_id: int | None = None,
    joined_layers: int | None = None,
) -> EdgeBertHeadModel:
    """Returns our model with a checkpoint's weights, in fp32, in eval mode, on the CPU.

    Args:
        source: A folder, an id on the model hub, or a loaded `transformers` model: `bert`, `distilbert` or our own.
        labels: Names of the outputs, in the order of the logits; the checkpoint's own by default. A head for another
            task, or another number of outputs, is drawn afresh.
        head: A key of `MODELS`; the checkpoint's own by default, `sequence` where it says nothing.
        problem: Of the sequence head, `classification` or `regression`; the checkpoint's own by default.
        separator_token_id: Where given, token types follow from this separator.
        joined_layers: Last layers that the token head reads; the checkpoint's own by default.

    Returns:
        The class of `MODELS` for the head. For `masked-lm`, `config.drawn_head` tells that the checkpoint had no
        such head.

    Raises:
        UsageError: When the checkpoint cannot be found, read or expressed.
    """
    if isinstance(source, PreTrainedModel):
        where = type(source).__name__
        theirs = {**source.config.to_dict(), "architectures": [where]}
        weights = {key: value.detach().float() for key, value in source.state_dict().items()}
    else:
        folder = locate(source)
        where = str(source)
        theirs, weights = read_config(folder), read_weights(folder)
    config = config_from(theirs, where, labels, head, problem)
    config.separator_token_id = config.separator_token_id if separator_token_id is None else separator_token_id
    config.joined_layers = joined_layers or config.joined_layers
    if config.joined_layers > config.num_hidden_layers:
        raise UsageError(
            f"{config.joined_layers} layers cannot be joined, the model has {config.num_hidden_layers}",
            where=where,
            cure=f"join 1 to {config.num_hidden_layers}",
        )
    model = MODELS[config.head](config)
    _fill(model, _fitting(model, _ours(weights, model, str(theirs["model_type"]), where), head_of(theirs)), where)
    return model.eval()


def distilbert_style(model: EdgeBertHeadModel) -> EdgeBertHeadModel:
    """Returns a copy without token types and with DistilBERT's classifier, so that it can save as one.

    Token type 0 is added to every position embedding, which is exact for single texts; a second text is then told
    by its separator alone, and the copy must be trained again. So must a classifier of texts: its ReLU stands where
    BERT's pooler has tanh.
    """
    config = copy.deepcopy(model.config)
    config.type_vocab_size, config.classifier_activation, config.separator_token_id = 0, "relu", None
    weights = dict(model.state_dict())
    types = weights.pop("encoder.embeddings.token_type.weight", None)
    if types is not None:
        weights["encoder.embeddings.position.weight"] = weights["encoder.embeddings.position.weight"] + types[0]
    student = type(model)(config)
    student.load_state_dict(weights)
    return student.train(model.training)


def save_model(model: EdgeBertHeadModel, folder: Path) -> None:
    """Writes a model with its own configuration: `config.json` and `model.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)


def load_model(folder: Path) -> EdgeBertHeadModel:
    """Returns a model written by `save_model` or `save_plain`, in fp32 and in eval mode, on the CPU.

    Raises:
        UsageError: When the folder holds no such model.
    """
    if not folder.is_dir():
        raise UsageError("no such folder", where=str(folder), cure="give a folder that holds a model")
    with torch.random.fork_rng(devices=[]):
        return from_checkpoint(folder)
