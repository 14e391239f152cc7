from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import debug_launcher
from accelerate.state import AcceleratorState
from safetensors.torch import load_file, save_file
from torch import Tensor

from edgedistil.distil.distil import distil
from edgedistil.distil.outputs import LiveTeacher
from edgedistil.distil.student import make_student
from edgedistil.distil.trainer import TrainingResult, TrainingSet
from edgedistil.models import load_model
from edgedistil.recipe.schema import Distil

# 7 rows a step: the processes' shares are unequal, and the last step of the epoch leaves one without a row.
SETTINGS = Distil(epochs=1, batch_size=7, learning_rate=1e-3, evaluations_per_epoch=2, accumulate=2)


def without_dropout(model: torch.nn.Module) -> None:
    """Turns dropout off: its draws depend on who sees which row."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0


def follow(teacher_folder: Path, data: TrainingSet, folder: Path) -> TrainingResult:
    """Distils in this process, alone or one of several; leaves the student it ended with."""
    torch.set_num_threads(1)
    teacher = load_model(teacher_folder)
    student = make_student(teacher, 1)
    without_dropout(student)
    number = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    if number:
        # What the others start from must not matter.
        torch.nn.init.normal_(student.classifier.weight)
    teacher_outputs = LiveTeacher(teacher, bf16=False)
    result = distil(student, data, SETTINGS, teacher_outputs, folder / "run", seed=3, precision="no")
    state = {name: value.contiguous() for name, value in student.state_dict().items()}
    save_file(state, folder / f"model-{number}.safetensors")
    return result


def left(folder: Path, number: int) -> dict[str, Tensor]:
    return load_file(folder / f"model-{number}.safetensors")


def test_two_processes_train_the_model_that_one_does(world, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    several, one = tmp_path / "several", tmp_path / "one"
    several.mkdir()
    one.mkdir()
    rows = TrainingSet(world.small, world.data.dev)
    AcceleratorState._reset_state(True)
    debug_launcher(follow, (world.folder, rows, several), num_processes=2)
    AcceleratorState._reset_state(True)
    result = follow(world.folder, rows, one)
    assert result.steps == 6, "the last step has a single row"
    alone, first, second = left(one, 0), left(several, 0), left(several, 1)
    for name, value in alone.items():
        assert torch.equal(first[name], second[name]), "both end with the same weights"
        torch.testing.assert_close(first[name], value, rtol=1e-3, atol=1e-4)
    start = make_student(load_model(world.folder), 1).state_dict()
    assert any((alone[name] - start[name]).abs().max() > 1e-3 for name in alone), "it has learnt something"
