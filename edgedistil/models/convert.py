"""From the checkpoints others make to our model, and back to theirs where its layers are equal."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import BertConfig, DistilBertConfig, PretrainedConfig, PreTrainedModel

from edgedistil.errors import EdgeDistilError, UsageError, did_you_mean
from edgedistil.models.checkpoint import locate, read_config, read_weights
from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.models.naming import MODEL_TYPES, modern_name, their_name

_HEAD = ("pre_classifier.", "classifier.")


def _bert_sizes(config: BertConfig) -> dict[str, Any]:
    dropout = config.hidden_dropout_prob
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
        "classifier_dropout": dropout if config.classifier_dropout is None else config.classifier_dropout,
        "classifier_activation": "tanh",
    }


def _distilbert_sizes(config: DistilBertConfig) -> dict[str, Any]:
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
        "classifier_dropout": config.seq_classif_dropout,
        "classifier_activation": "relu",
    }


def config_from(theirs: Mapping[str, Any], where: str, labels: Sequence[str] | None = None) -> EdgeBertConfig:
    """Returns our configuration for a checkpoint's.

    Args:
        theirs: A `config.json` of type `bert`, `distilbert` or our own.
        where: The checkpoint, for messages.
        labels: Names of the classes, in the order of the logits; the checkpoint's own by default.

    Raises:
        UsageError: When the model is of another type or uses what we have not got.
    """
    kind = str(theirs.get("model_type"))
    if kind == EdgeBertConfig.model_type:
        config = EdgeBertConfig.from_dict(dict(theirs))
    elif kind not in MODEL_TYPES:
        raise UsageError(f"model_type '{kind}' is not supported", where=where, cure=did_you_mean(kind, MODEL_TYPES))
    else:
        source: PretrainedConfig = (BertConfig if kind == "bert" else DistilBertConfig).from_dict(dict(theirs))
        if theirs.get("position_embedding_type", "absolute") != "absolute" or theirs.get("is_decoder"):
            raise UsageError("only encoders with absolute positions are supported", where=where)
        sizes = _bert_sizes(source) if kind == "bert" else _distilbert_sizes(source)
        shared = ("vocab_size", "max_position_embeddings", "pad_token_id", "initializer_range")
        config = EdgeBertConfig(
            **sizes, **{key: getattr(source, key) for key in shared}, id2label=dict(source.id2label)
        )
    if labels is not None:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
    return config


def _ours(weights: Mapping[str, Tensor], keys: Sequence[str], kind: str) -> dict[str, Tensor]:
    if kind == EdgeBertConfig.model_type:
        return {key: weights[key] for key in keys if key in weights}
    modern = {modern_name(key, kind): value for key, value in weights.items()}
    named = {key: their_name(key, kind) for key in keys}
    return {key: modern[name] for key, name in named.items() if name in modern}


def _fill(model: EdgeBertForSequenceClassification, found: dict[str, Tensor], where: str) -> None:
    """Copies tensors into a model; only the classifier may be missing, or be made for other labels."""
    wanted = model.state_dict()
    if "classifier.weight" in found and found["classifier.weight"].shape != wanted["classifier.weight"].shape:
        found = {key: value for key, value in found.items() if not key.startswith("classifier.")}
    missing = sorted(key for key in wanted if key not in found and not key.startswith(_HEAD))
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
    source: str | Path | PreTrainedModel, labels: Sequence[str] | None = None
) -> EdgeBertForSequenceClassification:
    """Returns a `bert`, `distilbert` or own checkpoint as our model, in fp32 and in eval mode.

    What a checkpoint has no tensors for (pooler, classifier) is drawn fresh from torch's global generator.

    Args:
        source: A checkpoint's folder, a model id on the hub, or a model in memory.
        labels: Names of the classes, in the order of the logits; the checkpoint's own by default. With
            another number of them than the checkpoint's classifier has, that classifier is drawn afresh.

    Raises:
        UsageError: When the checkpoint cannot be found, read or expressed.
    """
    if isinstance(source, PreTrainedModel):
        where = type(source).__name__
        theirs, weights = (
            source.config.to_dict(),
            {k: v.detach().float() for k, v in source.state_dict().items()},
        )
    else:
        folder = locate(source)
        where = str(source)
        theirs, weights = read_config(folder), read_weights(folder)
    model = EdgeBertForSequenceClassification(config_from(theirs, where, labels))
    keys = list(model.state_dict())
    _fill(model, _ours(weights, keys, str(theirs["model_type"])), where)
    return model.eval()


def has_classifier(source: str | Path) -> bool:
    """Tells whether a checkpoint was fine-tuned: it stores a sequence classifier.

    Raises:
        UsageError: When the checkpoint cannot be found or read.
    """
    return "classifier.weight" in read_weights(locate(source))


def distilbert_style(model: EdgeBertForSequenceClassification) -> EdgeBertForSequenceClassification:
    """Returns a copy without token types and with DistilBERT's classifier, so that it can save as one.

    Token type 0 is added to every position embedding, which is exact for single texts. The classifier's ReLU
    stands where BERT's pooler has tanh; it starts from the same weights but must be trained again.
    """
    config = copy.deepcopy(model.config)
    config.type_vocab_size, config.classifier_activation = 0, "relu"
    weights = dict(model.state_dict())
    types = weights.pop("encoder.embeddings.token_type.weight", None)
    if types is not None:
        weights["encoder.embeddings.position.weight"] = weights["encoder.embeddings.position.weight"] + types[0]
    student = EdgeBertForSequenceClassification(config)
    student.load_state_dict(weights)
    return student.train(model.training)


def _plain_type(config: EdgeBertConfig) -> str | None:
    styles = {(True, "tanh"): "bert", (False, "relu"): "distilbert"}
    return styles.get((config.type_vocab_size > 0, config.classifier_activation))


def is_uniform(config: EdgeBertConfig) -> bool:
    """Tells whether `bert` or `distilbert` can express a model: equal FFN widths and no head removed."""
    full = config.num_attention_heads
    return (
        full * config.head_size == config.hidden_size
        and set(config.heads) == {full}
        and len(set(config.ffn)) == 1
        and config.ffn[0] > 0
        and (config.type_vocab_size > 0 or config.layer_norm_eps == 1e-12)
        and _plain_type(config) is not None
    )


def _plain_config(config: EdgeBertConfig) -> PretrainedConfig:
    """The nearest `bert` or `distilbert` configuration, with the widths of the widest layer."""
    shared = {key: getattr(config, key) for key in ("vocab_size", "max_position_embeddings", "pad_token_id")}
    shared |= {"initializer_range": config.initializer_range, "id2label": dict(config.id2label)}
    layers, heads, ffn = config.num_hidden_layers, config.num_attention_heads, max(config.ffn)
    if config.type_vocab_size:
        return BertConfig(
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=ffn,
            hidden_size=config.hidden_size,
            type_vocab_size=config.type_vocab_size,
            hidden_act=config.activation,
            layer_norm_eps=config.layer_norm_eps,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.attention_dropout,
            classifier_dropout=config.classifier_dropout,
            **shared,
        )
    return DistilBertConfig(
        n_layers=layers,
        n_heads=heads,
        hidden_dim=ffn,
        dim=config.hidden_size,
        activation=config.activation,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        seq_classif_dropout=config.classifier_dropout,
        **shared,
    )


def root_config(model: EdgeBertForSequenceClassification) -> dict[str, Any]:
    """Returns the `config.json` of a bundle's root: a `model_type` others know, labels and nominal sizes.

    For a model with unequal layers the heads are those of an unpruned layer and the FFN width that of the
    widest, for clients of the exported files; the model's own weights do not load with it.
    """
    plain = _plain_config(model.config)
    architecture = {
        "bert": "BertForSequenceClassification",
        "distilbert": "DistilBertForSequenceClassification",
    }
    plain.architectures = [architecture[plain.model_type]]
    plain.problem_type = "single_label_classification"
    return {**plain.to_diff_dict(), "dtype": "float32"}


def to_plain(model: EdgeBertForSequenceClassification) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Returns a uniform model's configuration and tensors as `distilbert` (no token types, ReLU) or `bert`.

    Raises:
        EdgeDistilError: When those cannot express the model.
    """
    if not is_uniform(model.config):
        raise EdgeDistilError("a model with unequal layers cannot be saved as bert or distilbert")
    config = root_config(model)
    kind = str(config["model_type"])
    return config, {their_name(key, kind): value.contiguous() for key, value in model.state_dict().items()}


def save_plain(model: EdgeBertForSequenceClassification, folder: Path) -> None:
    """Writes a uniform model so that `transformers` loads it with no help from us.

    Raises:
        EdgeDistilError: When `bert` and `distilbert` cannot express the model.
    """
    config, weights = to_plain(model)
    folder.mkdir(parents=True, exist_ok=True)
    _plain_config(model.config).from_dict(config).to_json_file(folder / "config.json")
    save_file(
        {key: value.detach().cpu() for key, value in weights.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )


def save_model(model: EdgeBertForSequenceClassification, folder: Path) -> None:
    """Writes a model with its own configuration: `config.json` and `model.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)


def load_model(folder: Path) -> EdgeBertForSequenceClassification:
    """Returns a model written by `save_model` or `save_plain`, in fp32 and in eval mode, on the CPU.

    Raises:
        UsageError: When the folder holds no such model.
    """
    if not folder.is_dir():
        raise UsageError("no such folder", where=str(folder), cure="give a folder that holds a model")
    with torch.random.fork_rng(devices=[]):
        return from_checkpoint(folder)
