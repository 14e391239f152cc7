"""The configuration of a BERT whose layers may differ in heads and FFN width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PretrainedConfig

_NOMINAL_LAYERS = 6
_CLASSIFIER_ACTIVATIONS = ("relu", "tanh")

HEADS = ("sequence", "token", "span", "masked-lm")
PROBLEMS = ("classification", "regression")


class EdgeBertConfig(PretrainedConfig):
    """Sizes of an encoder whose layers may be unequal, and of the head on it.

    Args:
        vocab_size: Rows of the word embedding.
        hidden_size: Width of the residual stream.
        head_size: Width of one attention head.
        heads: Attention heads of each layer, 0 allowed; all `hidden_size // head_size` by default.
        ffn: FFN neurons of each layer, 0 allowed; all `4 * hidden_size` by default.
        max_position_embeddings: Longest sequence in tokens.
        type_vocab_size: Rows of the token type embedding; 0 leaves it out, as DistilBERT does.
        activation: FFN activation, as `transformers` names it.
        layer_norm_eps: Epsilon of every LayerNorm.
        dropout: Dropout of embeddings and of each sublayer's output.
        attention_dropout: Dropout of attention probabilities.
        classifier_dropout: Dropout before the last Linear.
        classifier_activation: `relu` (DistilBERT) or `tanh` (BERT) between the two classifier Linears.
        pad_token_id: Id of the padding token.
        initializer_range: Standard deviation of fresh weights.
        head: What answers: `sequence` once a text, `token` once a token, `span` with a start and an end a token,
            `masked-lm` with a word of the vocabulary a token.
        problem: Of the sequence head: `classification`, or `regression`, whose one logit is the value.
        joined_layers: How many last layers' hidden states the token head reads, joined.
        separator_token_id: Id of the token that ends a text. A model with token types then derives them: 0 up to and
            including the first separator, 1 after it. None gives every token type 0.
        drawn_head: Whether the head for masked words was drawn, as the checkpoint had none: nothing can be learnt
            from what it answers.
        kwargs: `num_labels`, `id2label`, `label2id` and the rest of `PretrainedConfig`.

    Raises:
        ValueError: When `heads` and `ffn` differ in length or a size cannot be built.
    """

    model_type = "edgedistil-bert"

    def __init__(  # noqa: PLR0913 - one argument a key of config.json
        self,
        *,
        vocab_size: int = 30522,
        hidden_size: int = 384,
        head_size: int = 32,
        heads: Sequence[int] | None = None,
        ffn: Sequence[int] | None = None,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 0,
        activation: str = "gelu",
        layer_norm_eps: float = 1e-12,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        classifier_dropout: float = 0.1,
        classifier_activation: str = "relu",
        pad_token_id: int = 0,
        initializer_range: float = 0.02,
        head: str = "sequence",
        problem: str = "classification",
        joined_layers: int = 1,
        separator_token_id: int | None = None,
        drawn_head: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(pad_token_id=pad_token_id, **kwargs)
        layers = len(heads) if heads is not None else len(ffn) if ffn is not None else _NOMINAL_LAYERS
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.head_size = head_size
        self.heads = list(heads) if heads is not None else [hidden_size // head_size] * layers
        self.ffn = list(ffn) if ffn is not None else [4 * hidden_size] * layers
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.activation = activation
        self.layer_norm_eps = layer_norm_eps
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.classifier_dropout = classifier_dropout
        self.classifier_activation = classifier_activation
        self.initializer_range = initializer_range
        self.head = head
        self.problem = problem
        self.joined_layers = joined_layers
        self.separator_token_id = separator_token_id
        self.drawn_head = drawn_head
        self._check()

    def _check(self) -> None:
        if len(self.heads) != len(self.ffn):
            raise ValueError(f"heads lists {len(self.heads)} layers and ffn lists {len(self.ffn)}")
        if min([*self.heads, *self.ffn], default=0) < 0 or min(self.hidden_size, self.head_size) < 1:
            raise ValueError("sizes must not be negative, and hidden_size and head_size at least 1")
        if self.classifier_activation not in _CLASSIFIER_ACTIVATIONS:
            raise ValueError(f"classifier_activation must be one of {', '.join(_CLASSIFIER_ACTIVATIONS)}")
        for name, known in (("head", HEADS), ("problem", PROBLEMS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}")
        if not 1 <= self.joined_layers <= max(1, len(self.heads)):
            raise ValueError(f"joined_layers is {self.joined_layers}, of {len(self.heads)} layers")
        if self.joined_layers > 1 and self.head != "token":
            raise ValueError("only the token head joins layers")

    @property
    def num_hidden_layers(self) -> int:
        """Number of encoder layers."""
        return len(self.heads)

    @property
    def num_attention_heads(self) -> int:
        """Heads of a layer from which none was removed."""
        return self.hidden_size // self.head_size
