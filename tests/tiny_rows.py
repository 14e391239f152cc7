"""Random token sets and models of every kind, for tests that look at arithmetic and not at language."""

from __future__ import annotations

import numpy as np
import torch

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.models import EdgeBertConfig
from edgedistil.models.modelling import MODELS, EdgeBertHeadModel

KINDS = ("class", "value", "tags", "span")
WORDS = 50
_HEADS = {"class": "sequence", "value": "sequence", "tags": "token", "span": "span", "masked": "masked-lm"}
_WIDTHS = {"class": 3, "value": 1, "tags": 3, "span": 2, "masked": 2}


def random_rows(kind: str, count: int, seed: int, *, labelled: bool = True) -> EvaluationSet:
    """Returns rows of 4 to 12 tokens."""
    chooser = np.random.default_rng(seed)
    lengths = chooser.integers(4, 13, count)
    total = int(lengths.sum())
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    labels = {
        "class": chooser.integers(0, 3, count),
        "value": chooser.random(count) * 5,
        "tags": chooser.integers(0, 3, total),
        "span": np.stack([np.full(count, 1), chooser.integers(1, 4, count)], axis=1),
    }[kind]
    if not labelled:
        labels = np.full_like(labels, {"class": -1, "value": np.nan}.get(kind, -100))
    more = {}
    if kind in ("tags", "span"):
        more = {"starts": np.arange(total), "ends": np.arange(1, total + 1)}
    ids = np.array([f"{seed}-{row}" for row in range(count)])
    return EvaluationSet(chooser.integers(5, WORDS, total), offsets, labels, ids, kind, **more)


def random_model(kind: str, layers: int = 2, seed: int = 0, **sizes: object) -> EdgeBertHeadModel:
    """Returns a model with random weights, large enough that answers differ, in eval mode."""
    config = EdgeBertConfig(
        **{
            "vocab_size": WORDS,
            "hidden_size": 16,
            "head_size": 4,
            "heads": [4] * layers,
            "ffn": [32] * layers,
            "max_position_embeddings": 32,
            "initializer_range": 0.2,
            "num_labels": _WIDTHS[kind],
            "problem": "regression" if kind == "value" else "classification",
            "head": _HEADS[kind],
            **sizes,
        }
    )
    torch.manual_seed(seed)
    return MODELS[config.head](config).eval()
