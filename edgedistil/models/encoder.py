"""The encoder, in plain operations that every exporter takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.utils import ModelOutput

from edgedistil.models.configuration import EdgeBertConfig

# Finite, so that a row of padding alone gives no NaN; large enough that exp() of it is exactly 0 in fp32,
# small enough that int8 calibration and fp16 are not blown up by it.
MASKED_SCORE = -1e4

Projection = tuple[Tensor, Tensor, Tensor]
"""A layer's queries, keys and values before scaling, each [batch, sequence, heads * head_size]."""


@dataclass
class EncoderOutput(ModelOutput):
    """What the encoder gives.

    Attributes:
        last_hidden_state: [batch, sequence, hidden].
        hidden_states: The embeddings' output and every layer's, layers + 1 such tensors, where asked for.
        projections: Every layer's `Projection`, where asked for; of no width in a layer without heads.
    """

    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    projections: tuple[Projection, ...] | None = None


def added_mask(attention_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns what is added to attention scores, [batch, 1, 1, sequence], of a mask [batch, sequence]."""
    return (1.0 - attention_mask[:, None, None, :].to(dtype)) * MASKED_SCORE


class Bias(nn.Module):
    """What is left of a sublayer without heads or neurons: the bias of its last Linear."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self) -> Tensor:
        """Returns the bias, [size], to be broadcast over batch and sequence."""
        return self.bias


class Embeddings(nn.Module):
    """Word, position and, where the model has them, token type embeddings (Devlin et al. 2019, figure 2)."""

    def __init__(self, config: EdgeBertConfig) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.position = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        if config.type_vocab_size:
            self.token_type = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.has_types = config.type_vocab_size > 0
        self.separator = config.separator_token_id if config.type_vocab_size > 1 else None
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Returns hidden states [batch, sequence, hidden] of token ids [batch, sequence] (int32 or int64)."""
        hidden = self.word(input_ids) + self.position.weight[: input_ids.shape[1]]
        if self.has_types:
            hidden = hidden + self.types(input_ids, token_type_ids)
        elif token_type_ids is not None:
            raise ValueError("this model has no token types (type_vocab_size is 0)")
        return self.dropout(self.norm(hidden))

    def types(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Returns the token types' embeddings, [batch, sequence, hidden], or [hidden] where all are of type 0."""
        if token_type_ids is not None:
            return self.token_type(token_type_ids)
        if self.separator is None:
            return self.token_type.weight[0]
        separators = (input_ids == self.separator).to(torch.int32)
        second = separators.cumsum(1) - separators > 0
        return torch.where(second[:, :, None], self.token_type.weight[1], self.token_type.weight[0])


class Attention(nn.Module):
    """Multi-head self-attention with any number of heads (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, config: EdgeBertConfig, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_size = config.head_size
        self.dropout = config.attention_dropout
        width = heads * config.head_size
        if heads:
            self.query = nn.Linear(config.hidden_size, width)
            self.key = nn.Linear(config.hidden_size, width)
            self.value = nn.Linear(config.hidden_size, width)
        self.output = nn.Linear(width, config.hidden_size) if heads else Bias(config.hidden_size)

    def _split(self, hidden: Tensor) -> Tensor:
        batch, length = hidden.shape[0], hidden.shape[1]
        return hidden.view(batch, length, self.heads, self.head_size).transpose(1, 2)

    def forward(self, hidden: Tensor, mask: Tensor | None, projections: list[Projection] | None = None) -> Tensor:
        """Returns the sublayer's output, before residual and norm.

        Args:
            hidden: Hidden states, [batch, sequence, hidden].
            mask: What is added to the scores, [batch, 1, 1, sequence], or None for no padding.
            projections: Where the layer's queries, keys and values are put; None leaves them.
        """
        if not self.heads:
            if projections is not None:
                projections.append((hidden[..., :0],) * 3)
            return self.output()
        query, key, value = self.query(hidden), self.key(hidden), self.value(hidden)
        if projections is not None:
            projections.append((query, key, value))
        mixed = F.scaled_dot_product_attention(
            self._split(query),
            self._split(key),
            self._split(value),
            attn_mask=None if mask is None else mask.to(query.dtype),
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.output(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """The position-wise network with any number of neurons (Vaswani et al. 2017, section 3.3)."""

    def __init__(self, config: EdgeBertConfig, neurons: int) -> None:
        super().__init__()
        self.neurons = neurons
        if neurons:
            self.up = nn.Linear(config.hidden_size, neurons)
            self.activation = ACT2FN[config.activation]
        self.down = nn.Linear(neurons, config.hidden_size) if neurons else Bias(config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """Returns the sublayer's output, before residual and norm, [batch, sequence, hidden]."""
        return self.down(self.activation(self.up(hidden))) if self.neurons else self.down()


class Layer(nn.Module):
    """One post-norm encoder layer: attention, residual, norm, FFN, residual, norm."""

    def __init__(self, config: EdgeBertConfig, heads: int, neurons: int) -> None:
        super().__init__()
        self.attention = Attention(config, heads)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.ffn = FeedForward(config, neurons)
        self.output_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, mask: Tensor | None, projections: list[Projection] | None = None) -> Tensor:
        """Returns the layer's hidden states, [batch, sequence, hidden]."""
        hidden = self.attention_norm(hidden + self.dropout(self.attention(hidden, mask, projections)))
        return self.output_norm(hidden + self.dropout(self.ffn(hidden)))


class EdgeBertPreTrainedModel(PreTrainedModel):
    """Ties the models to their configuration and says how fresh weights are drawn."""

    config_class = EdgeBertConfig
    base_model_prefix = "encoder"
    _supports_sdpa = True

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
        if isinstance(module, (nn.Linear, nn.LayerNorm, Bias)) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()


class EdgeBertModel(EdgeBertPreTrainedModel):
    """The encoder: embeddings and layers."""

    def __init__(self, config: EdgeBertConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(
            Layer(config, heads, neurons) for heads, neurons in zip(config.heads, config.ffn, strict=True)
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Returns the word embedding."""
        return self.embeddings.word

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool = False,
        output_projections: bool = False,
    ) -> EncoderOutput:
        """Encodes token ids.

        Args:
            input_ids: Token ids, [batch, sequence], int32 or int64.
            attention_mask: 1 for a token and 0 for padding, [batch, sequence].
            token_type_ids: Token types, [batch, sequence], for a model that has types. By default they follow from
                the separators where the configuration names one, and are 0 where it does not.
            output_hidden_states: Also return the embeddings' output and every layer's.
            output_projections: Also return every layer's queries, keys and values.
        """
        hidden = self.embeddings(input_ids, token_type_ids)
        mask = None
        if attention_mask is not None:
            mask = added_mask(attention_mask, hidden.dtype)
        states, projections = [hidden], list[Projection]()
        for layer in self.layers:
            hidden = layer(hidden, mask, projections) if output_projections else layer(hidden, mask)
            if output_hidden_states:
                states.append(hidden)
        return EncoderOutput(
            last_hidden_state=hidden,
            hidden_states=tuple(states) if output_hidden_states else None,
            projections=tuple(projections) if output_projections else None,
        )
