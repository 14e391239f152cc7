from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

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
    torch.manual_seed(11)
    made = EdgeBertForSequenceClassification(
        EdgeBertConfig(
            vocab_size=60,
            hidden_size=24,
            head_size=6,
            heads=[4, 4, 4],
            ffn=[40, 40, 40],
            max_position_embeddings=20,
            num_labels=3,
        )
    )
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.35)
    return made.eval()


@pytest.fixture
def batches() -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(12)
    made = []
    for length in (5, 9, 14, 20):
        lengths = torch.randint(2, length + 1, (16,))
        mask = (torch.arange(length)[None] < lengths[:, None]).long()
        made.append((torch.randint(1, 60, (16, length)) * mask, mask))
    return made
