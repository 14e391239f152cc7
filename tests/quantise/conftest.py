from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.models import EdgeBertConfig, EdgeBertForSequenceClassification


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small lose more to threads waiting for each other than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model() -> EdgeBertForSequenceClassification:
    """Returns a model of unequal layers, the second without heads, in whose norms some channels are outliers."""
    torch.manual_seed(11)
    config = EdgeBertConfig(
        vocab_size=60,
        hidden_size=24,
        head_size=6,
        heads=[4, 0, 2],
        ffn=[40, 16, 32],
        max_position_embeddings=20,
        num_labels=3,
        initializer_range=0.25,
    )
    made = EdgeBertForSequenceClassification(config)
    with torch.no_grad():
        for layer in made.encoder.layers:
            for norm in (layer.attention_norm, layer.output_norm):
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.normal_(std=0.3)
                norm.weight[3] = 12.0
    return made.eval()


@pytest.fixture
def rows() -> EvaluationSet:
    draw = np.random.default_rng(5)
    lengths = draw.integers(4, 17, size=40)
    ids = draw.integers(1, 60, size=int(lengths.sum()))
    labels = draw.integers(0, 3, size=40)
    return EvaluationSet(ids, np.cumsum([0, *lengths]), labels, [str(number) for number in range(40)])
