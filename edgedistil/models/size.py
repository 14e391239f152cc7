"""How many parameters a model has and how many multiply-accumulates a text costs, from its configuration."""

from __future__ import annotations

from dataclasses import dataclass

from edgedistil.models.configuration import EdgeBertConfig


@dataclass(frozen=True)
class Counts:
    """Parameters, or multiply-accumulates, by part of the model.

    Attributes:
        embeddings: Embedding tables and their LayerNorm.
        attention: For each layer, what its heads cost; the output's bias is in `fixed`.
        ffn: For each layer, what its neurons cost; the output's bias is in `fixed`.
        fixed: Biases and LayerNorms that stay in a layer without heads or neurons, of all layers.
        classifier: The head's own; the decoder of masked words shares its matrix with the embeddings.
    """

    embeddings: int
    attention: tuple[int, ...]
    ffn: tuple[int, ...]
    fixed: int
    classifier: int

    @property
    def blocks(self) -> int:
        """The part that pruning can remove: every head and every FFN neuron."""
        return sum(self.attention) + sum(self.ffn)

    @property
    def encoder(self) -> int:
        """All layers."""
        return self.blocks + self.fixed

    @property
    def total(self) -> int:
        """The whole model."""
        return self.embeddings + self.encoder + self.classifier


def head_parameters(config: EdgeBertConfig) -> int:
    """Returns the parameters of one head: its rows of query, key and value and its columns of the output."""
    return (4 * config.hidden_size + 3) * config.head_size


def neuron_parameters(config: EdgeBertConfig) -> int:
    """Returns the parameters of one FFN neuron: its row of the first Linear and its column of the second."""
    return 2 * config.hidden_size + 1


def head_macs(config: EdgeBertConfig, sequence_length: int) -> int:
    """Returns the multiply-accumulates of one head on one text of `sequence_length` tokens.

    Four projections of every token, and scores and mixing over all pairs of tokens.
    """
    return sequence_length * config.head_size * (4 * config.hidden_size + 2 * sequence_length)


def neuron_macs(config: EdgeBertConfig, sequence_length: int) -> int:
    """Returns the multiply-accumulates of one FFN neuron on one text of `sequence_length` tokens."""
    return 2 * sequence_length * config.hidden_size


def classifier_parameters(config: EdgeBertConfig) -> int:
    """Returns the parameters of the head above the encoder."""
    hidden, labels = config.hidden_size, config.num_labels
    if config.head == "token":
        return (config.joined_layers * hidden + 1) * labels
    if config.head == "span":
        return (hidden + 1) * 2
    if config.head == "masked-lm":
        return hidden * hidden + 3 * hidden + config.vocab_size
    return hidden * hidden + hidden + (hidden + 1) * labels


def classifier_macs(config: EdgeBertConfig, sequence_length: int) -> int:
    """Returns the multiply-accumulates of the head on one text of `sequence_length` tokens."""
    hidden, labels = config.hidden_size, config.num_labels
    if config.head == "token":
        return sequence_length * config.joined_layers * hidden * labels
    if config.head == "span":
        return sequence_length * hidden * 2
    if config.head == "masked-lm":
        return sequence_length * hidden * (hidden + config.vocab_size)
    return hidden * (hidden + labels)


def count_parameters(config: EdgeBertConfig) -> Counts:
    """Returns the parameters of a model with this configuration."""
    hidden = config.hidden_size
    rows = config.vocab_size + config.max_position_embeddings + config.type_vocab_size
    return Counts(
        embeddings=rows * hidden + 2 * hidden,
        attention=tuple(heads * head_parameters(config) for heads in config.heads),
        ffn=tuple(neurons * neuron_parameters(config) for neurons in config.ffn),
        fixed=6 * hidden * config.num_hidden_layers,
        classifier=classifier_parameters(config),
    )


def count_macs(config: EdgeBertConfig, sequence_length: int) -> Counts:
    """Returns the multiply-accumulates of one text of `sequence_length` tokens.

    Only matrix products are counted; looking up embeddings, norms and activations are not.
    """
    return Counts(
        embeddings=0,
        attention=tuple(heads * head_macs(config, sequence_length) for heads in config.heads),
        ffn=tuple(neurons * neuron_macs(config, sequence_length) for neurons in config.ffn),
        fixed=0,
        classifier=classifier_macs(config, sequence_length),
    )
