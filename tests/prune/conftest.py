from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgedistil.models import EdgeBertConfig, EdgeBertForSequenceClassification


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
