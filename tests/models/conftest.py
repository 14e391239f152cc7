from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification

SHARED = Path(__file__).parents[3] / "shared" / "models"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small lose more to threads waiting for each other than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small_bert() -> BertForSequenceClassification:
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=97,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=40,
        initializer_range=0.3,
        id2label={0: "bad", 1: "fair", 2: "good"},
    )
    return BertForSequenceClassification(config).eval()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Token ids and a mask with rows of several lengths."""
    torch.manual_seed(5)
    ids = torch.randint(1, 97, (5, 17))
    lengths = torch.tensor([17, 9, 1, 12, 3])
    mask = (torch.arange(17)[None] < lengths[:, None]).long()
    return ids * mask, mask


@pytest.fixture
def real_teacher() -> Path:
    return _shared("bge-small-sst2")


@pytest.fixture
def real_encoder() -> Path:
    return _shared("bge-small-en-v1.5")


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the real weights are not at {folder}")
    return folder
