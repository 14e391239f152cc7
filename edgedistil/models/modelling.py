"""The models: the encoder under a head for texts, for tokens, for an answer's span, or for masked words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)
from transformers.activations import ACT2FN
from transformers.utils import ModelOutput

from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.encoder import Bias, EdgeBertModel, EdgeBertPreTrainedModel, EncoderOutput, Projection

IGNORED = -100


@dataclass
class EdgeBertOutput(ModelOutput):
    """What a model with a head gives.

    Attributes:
        loss: A scalar, where labels were given.
        logits: [batch, labels] of the sequence head; [batch, sequence, labels] of the token head;
            [batch, sequence, 2], start and end, of the span head; [batch, sequence, vocabulary] of the head for
            masked words, or [positions, vocabulary] where positions were named.
        hidden_states: The embeddings' output and every layer's, [batch, sequence, hidden], where asked for.
        projections: Every layer's queries, keys and values, each [batch, sequence, heads * head_size], before
            scaling, where asked for.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    projections: tuple[Projection, ...] | None = None


class EdgeBertHeadModel(EdgeBertPreTrainedModel):
    """What all heads share: the encoder under `.encoder`, and the way through it.

    Attributes:
        head: The head's name in the configuration.
    """

    head: str

    def __init__(self, config: EdgeBertConfig) -> None:
        config.head = self.head
        super().__init__(config)
        self.encoder = EdgeBertModel(config)
        self.build_head(config)
        self.post_init()

    def build_head(self, config: EdgeBertConfig) -> None:
        """Makes the modules above the encoder."""
        raise NotImplementedError

    def answer(self, encoded: EncoderOutput, positions: Tensor | None) -> Tensor:
        """Returns logits for what the encoder gives."""
        raise NotImplementedError

    def loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean loss of logits against labels."""
        raise NotImplementedError

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool = False,
        output_projections: bool = False,
        token_type_ids: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> EdgeBertOutput:
        """Answers token ids.

        Args:
            input_ids: Token ids, [batch, sequence], int32 or int64.
            attention_mask: 1 for a token and 0 for padding, [batch, sequence].
            labels: What is right, for `loss`: classes [batch], values [batch], tags or words [batch, sequence] with
                -100 where none counts, or first and last token [batch, 2].
            output_hidden_states: Also return the embeddings' output and every layer's.
            output_projections: Also return every layer's queries, keys and values.
            token_type_ids: Token types, [batch, sequence], in place of those that follow from the separators.
            positions: Only for the head for masked words: which logits are wanted, bool [batch, sequence].
        """
        # Not passed on for its own sake: the joined token head reads several layers.
        states = output_hidden_states or self.config.joined_layers > 1
        encoded = self.encoder(input_ids, attention_mask, token_type_ids, states, output_projections)
        logits = self.answer(encoded, positions)
        return EdgeBertOutput(
            loss=None if labels is None else self.loss_of(logits.float(), labels),
            logits=logits,
            hidden_states=encoded.hidden_states if output_hidden_states else None,
            projections=encoded.projections,
        )


class EdgeBertForSequenceClassification(EdgeBertHeadModel):
    """Two Linears on the first token: DistilBERT's head, or BERT's pooler and classifier; a class, or one value."""

    head = "sequence"

    def build_head(self, config: EdgeBertConfig) -> None:
        """Makes the two Linears."""
        self.pre_classifier = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def answer(self, encoded: EncoderOutput, positions: Tensor | None) -> Tensor:
        """Returns logits [batch, labels]; one a text where the problem is regression."""
        del positions
        assert encoded.last_hidden_state is not None  # noqa: S101 - an encoder always gives it
        pooled = self.pre_classifier(encoded.last_hidden_state[:, 0])
        pooled = torch.relu(pooled) if self.config.classifier_activation == "relu" else torch.tanh(pooled)
        logits: Tensor = self.classifier(self.dropout(pooled))
        return logits

    def loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the cross-entropy, or the squared error of values."""
        if self.config.problem == "regression":
            return F.mse_loss(logits[:, 0], labels.float())
        return F.cross_entropy(logits, labels)


class EdgeBertForTokenClassification(EdgeBertHeadModel):
    """A Linear on every token's last hidden state, or on those of the last layers joined.

    Joined layers are the multi-depth model of HLE-UPC (Palliser-Sans and Rial-Farras 2021, arXiv 2104.00639).
    """

    head = "token"

    def build_head(self, config: EdgeBertConfig) -> None:
        """Makes the Linear."""
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.joined_layers * config.hidden_size, config.num_labels)

    def answer(self, encoded: EncoderOutput, positions: Tensor | None) -> Tensor:
        """Returns logits [batch, sequence, labels]."""
        del positions
        hidden = encoded.last_hidden_state
        if self.config.joined_layers > 1:
            assert encoded.hidden_states is not None  # noqa: S101 - forward asked for them
            hidden = torch.cat(encoded.hidden_states[-self.config.joined_layers :], dim=-1)
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits

    def loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the cross-entropy of the tokens that are labelled."""
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


class EdgeBertForQuestionAnswering(EdgeBertHeadModel):
    """A Linear that gives every token a logit for being an answer's first, and one for being its last."""

    head = "span"

    def build_head(self, config: EdgeBertConfig) -> None:
        """Makes the Linear."""
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, 2)

    def answer(self, encoded: EncoderOutput, positions: Tensor | None) -> Tensor:
        """Returns logits [batch, sequence, 2]."""
        del positions
        logits: Tensor = self.classifier(self.dropout(encoded.last_hidden_state))
        return logits

    def loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the cross-entropy over the sequence, the mean of start and end (Devlin et al. 2019, section 4.2)."""
        return F.cross_entropy(logits.transpose(1, 2).flatten(0, 1), labels.flatten())


class EdgeBertForMaskedLM(EdgeBertHeadModel):
    """BERT's head for masked words: a Linear, activation and norm, then the word embedding itself as decoder.

    Drawn over an encoder that has none, the Linear starts as any other: 60 steps on reviews brought 3 x 384 to the same
    loss from there (6.74) as from the identity (6.77).
    """

    head = "masked-lm"

    def build_head(self, config: EdgeBertConfig) -> None:
        """Makes the transform and the decoder's bias; its matrix is the word embedding's."""
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN[config.activation]
        self.transform_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.decoder = Bias(config.vocab_size)

    def answer(self, encoded: EncoderOutput, positions: Tensor | None) -> Tensor:
        """Returns logits [batch, sequence, vocabulary], or [positions, vocabulary] for the named positions."""
        hidden = encoded.last_hidden_state
        assert hidden is not None  # noqa: S101 - an encoder always gives it
        if positions is not None:
            hidden = hidden[positions]
        transformed = self.transform_norm(self.activation(self.transform(hidden)))
        return F.linear(transformed, self.encoder.embeddings.word.weight, self.decoder())

    def loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the cross-entropy of the words that are labelled."""
        return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED)


MODELS: dict[str, type[EdgeBertHeadModel]] = {
    model.head: model
    for model in (
        EdgeBertForSequenceClassification,
        EdgeBertForTokenClassification,
        EdgeBertForQuestionAnswering,
        EdgeBertForMaskedLM,
    )
}


def _register() -> None:
    """Makes the Auto classes know the models; harmless when done twice."""
    AutoConfig.register(EdgeBertConfig.model_type, EdgeBertConfig, exist_ok=True)
    known: dict[Any, Any] = {
        AutoModel: EdgeBertModel,
        AutoModelForSequenceClassification: EdgeBertForSequenceClassification,
        AutoModelForTokenClassification: EdgeBertForTokenClassification,
        AutoModelForQuestionAnswering: EdgeBertForQuestionAnswering,
        AutoModelForMaskedLM: EdgeBertForMaskedLM,
    }
    for auto, model in known.items():
        auto.register(EdgeBertConfig, model, exist_ok=True)


_register()
