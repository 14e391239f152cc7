"""The student before training: alternate layers of the teacher, in DistilBERT's form."""

from __future__ import annotations

from edgedistil.layers import alternate_layers
from edgedistil.models.convert import distilbert_style
from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.models.shrink import take_layers


def make_student(teacher: EdgeBertForSequenceClassification, layers: int) -> EdgeBertForSequenceClassification:
    """Returns a student initialised from alternate teacher layers (DistilBERT, arXiv 1910.01108, section 3).

    Args:
        teacher: The fine-tuned teacher.
        layers: Layers to keep.

    Raises:
        UsageError: When the teacher has fewer layers.
    """
    return distilbert_style(take_layers(teacher, alternate_layers(len(teacher.config.heads), layers)))
