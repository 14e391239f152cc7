from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny
import torch
from accelerate.state import AcceleratorState
from tiny_tokens import LABELS, write_tokens

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.objective import Objective
from edgedistil.distil.teacher import open_teacher
from edgedistil.distil.trainer import TrainingResult, TrainingSet, train
from edgedistil.models import load_model, save_model
from edgedistil.recipe.schema import FineTune


@pytest.fixture(autouse=True)
def _one_thread_and_a_fresh_accelerator() -> Iterator[None]:
    """Models this small lose to threads; accelerate keeps one precision a process, and tests want both."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    AcceleratorState._reset_state(True)
    yield
    torch.set_num_threads(threads)
    AcceleratorState._reset_state(True)


@dataclass(frozen=True)
class World:
    """A tiny task and its fine-tuned teacher.

    Attributes:
        untrained: Encoder and tokeniser as they came.
        folder: The fine-tuned teacher.
        data: Training and dev rows.
        result: Of the fine-tuning.
        small: A few more rows, 36.
    """

    untrained: Path
    folder: Path
    data: TrainingSet
    result: TrainingResult
    small: EvaluationSet


SETTINGS = FineTune(epochs=2.5, learning_rate=2e-3, batch_size=32)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("world")
    untrained = tiny.write_teacher(root / "untrained")
    data = TrainingSet(
        write_tokens(untrained, root / "train", 480, 1),
        write_tokens(untrained, root / "dev", 120, 2),
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    AcceleratorState._reset_state(True)
    model = open_teacher(untrained, LABELS, fine_tuned=False, seed=0)
    result = train(model, data, Objective({"hard_labels": 1.0}), SETTINGS, root / "run", seed=0, precision="no")
    torch.set_num_threads(threads)
    save_model(model, root / "teacher")
    small = write_tokens(untrained, root / "small", 36, 3)
    return World(untrained, root / "teacher", data, result, small)


@pytest.fixture
def teacher(world: World):
    """Returns a fresh copy of the fine-tuned teacher."""
    return load_model(world.folder)
