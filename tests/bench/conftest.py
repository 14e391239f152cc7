"""Fixtures of the bench's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench_files import LABELS, VOCABULARY, make_onnx, make_tflite
from hypothesis import settings

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.settings import BenchSettings

# A deadline in milliseconds fails on a busy machine, which says nothing of the code.
settings.register_profile("bench", deadline=None, max_examples=50)
settings.load_profile("bench")


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_onnx(tmp_path_factory.mktemp("onnx") / "tiny.onnx")


@pytest.fixture(scope="session")
def tflite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tflite(tmp_path_factory.mktemp("tflite") / "tiny.tflite")


@pytest.fixture(scope="session")
def examples() -> EvaluationSet:
    """40 examples of 3 to 12 tokens, each of one residue class, one label in ten wrong."""
    generator = np.random.default_rng(1)
    lengths = generator.integers(3, 13, 40)
    labels = generator.integers(0, LABELS, 40)
    rows = [generator.integers(1, VOCABULARY // LABELS, n) * LABELS + y for n, y in zip(lengths, labels, strict=True)]
    wrong = np.where(np.arange(40) % 10 == 0, (labels + 1) % LABELS, labels)
    ids = [f"{index:016x}" for index in range(40)]
    return EvaluationSet(np.concatenate(rows), np.concatenate([[0], np.cumsum(lengths)]), wrong, ids)


@pytest.fixture(scope="session")
def evaluation_file(examples: EvaluationSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evaluation") / "dev.npz"
    examples.save(path)
    return path


@pytest.fixture
def quick() -> BenchSettings:
    """Settings that end within a second a file."""
    return BenchSettings(
        relative_width=0.5, max_seconds=0.4, min_blocks=3, block_seconds=0.03, warmup_seconds=0.3, timeout_seconds=30
    )
