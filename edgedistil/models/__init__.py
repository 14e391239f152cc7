"""The model class with heads and FFN width a layer; loading, saving, shrinking and counting it."""

from __future__ import annotations

from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.convert import distilbert_style, from_checkpoint, load_model, save_model
from edgedistil.models.encoder import EdgeBertModel
from edgedistil.models.modelling import (
    MODELS,
    EdgeBertForMaskedLM,
    EdgeBertForQuestionAnswering,
    EdgeBertForSequenceClassification,
    EdgeBertForTokenClassification,
    EdgeBertHeadModel,
)
from edgedistil.models.plain import is_uniform, root_config, save_plain, to_plain
from edgedistil.models.shrink import keep, masked, take_layers
from edgedistil.models.size import Counts, count_macs, count_parameters

__all__ = [
    "MODELS",
    "Counts",
    "EdgeBertConfig",
    "EdgeBertForMaskedLM",
    "EdgeBertForQuestionAnswering",
    "EdgeBertForSequenceClassification",
    "EdgeBertForTokenClassification",
    "EdgeBertHeadModel",
    "EdgeBertModel",
    "count_macs",
    "count_parameters",
    "distilbert_style",
    "from_checkpoint",
    "is_uniform",
    "keep",
    "load_model",
    "masked",
    "root_config",
    "save_model",
    "save_plain",
    "take_layers",
    "to_plain",
]
