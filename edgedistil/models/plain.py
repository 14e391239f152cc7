"""Which of our models `bert` or `distilbert` can express, and how they are saved as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from transformers import BertConfig, DistilBertConfig, PretrainedConfig

from edgedistil.errors import EdgeDistilError
from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.models.naming import class_name, their_name


def _plain_type(config: EdgeBertConfig) -> str | None:
    kind, activation = ("bert", "tanh") if config.type_vocab_size else ("distilbert", "relu")
    return kind if config.head != "sequence" or config.classifier_activation == activation else None


def is_uniform(config: EdgeBertConfig) -> bool:
    """Tells whether `bert` or `distilbert` can express a model: equal FFN widths, no head removed, one layer read."""
    full = config.num_attention_heads
    return (
        full * config.head_size == config.hidden_size
        and set(config.heads) == {full}
        and len(set(config.ffn)) == 1
        and config.ffn[0] > 0
        and config.joined_layers == 1
        and (config.type_vocab_size > 0 or config.layer_norm_eps == 1e-12)
        and _plain_type(config) is not None
    )


def _plain_config(config: EdgeBertConfig) -> PretrainedConfig:
    """The nearest `bert` or `distilbert` configuration, with the widths of the widest layer."""
    shared = {key: getattr(config, key) for key in ("vocab_size", "max_position_embeddings", "pad_token_id")}
    shared |= {"initializer_range": config.initializer_range, "id2label": dict(config.id2label)}
    # Given the numbers' labels alone, `transformers` writes none of the labels' numbers.
    shared["label2id"] = {label: number for number, label in config.id2label.items()}
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
            **({} if config.separator_token_id is None else {"separator_token_id": config.separator_token_id}),
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
        **{"qa_dropout" if config.head == "span" else "seq_classif_dropout": config.classifier_dropout},
        **shared,
    )


def root_config(model: EdgeBertHeadModel) -> dict[str, Any]:
    """Returns the `config.json` of a bundle's root: a `model_type` others know, labels and nominal sizes.

    For a model with unequal layers the heads are those of an unpruned layer and the FFN width that of the
    widest, for clients of the exported files; the model's own weights do not load with it.
    """
    plain = _plain_config(model.config)
    plain.architectures = [class_name(plain.model_type, model.head)]
    if model.head == "sequence":
        plain.problem_type = "regression" if model.config.problem == "regression" else "single_label_classification"
    return {**plain.to_diff_dict(), "dtype": "float32"}


def to_plain(model: EdgeBertHeadModel) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Returns a uniform model's configuration and tensors as `distilbert` (no token types) or `bert`.

    Raises:
        EdgeDistilError: When those cannot express the model.
    """
    if not is_uniform(model.config):
        raise EdgeDistilError("a model with unequal or joined layers cannot be saved as bert or distilbert")
    config = root_config(model)
    kind = str(config["model_type"])
    return config, {their_name(key, kind, model.head): value.contiguous() for key, value in model.state_dict().items()}


def save_plain(model: EdgeBertHeadModel, folder: Path) -> None:
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
