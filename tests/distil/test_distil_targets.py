from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_rows import KINDS, random_model, random_rows

from edgedistil.distil import targets as targets_module
from edgedistil.distil.batches import collate
from edgedistil.distil.following import Following
from edgedistil.distil.objective import Objective
from edgedistil.distil.outputs import LiveTeacher, Request
from edgedistil.distil.rows import JoinedTokens
from edgedistil.distil.targets import TeacherTargets, choose_outputs, compute_targets, open_outputs, targets_bytes
from edgedistil.errors import EdgeDistilError
from edgedistil.progress import SilentProgress


@pytest.fixture(autouse=True)
def fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arithmetic that the direct outputs are computed in."""
    monkeypatch.setattr(targets_module, "choose_precision", lambda: "no")


@pytest.mark.parametrize("kind", KINDS)
def test_targets_are_the_teachers_own_outputs(kind: str, tmp_path: Path):
    rows, teacher = random_rows(kind, 40, 1), random_model(kind, layers=3)
    compute_targets(teacher, rows, (0, 1, 3), tmp_path)
    targets = open_outputs(tmp_path, rows, teacher)
    batch = collate(rows, np.array([7, 39, 3, 3, 12]))
    mask = batch.attention_mask.bool()
    assert not mask.all(), "the batch must have padding to be looked at"
    with torch.no_grad():
        direct = teacher(batch.input_ids, batch.attention_mask, output_hidden_states=True, output_projections=True)
    found = targets(batch, Request(True, (0, 3), (1, 2)))
    real = mask if kind in ("tags", "span") else slice(None)
    torch.testing.assert_close(found.logits[real], direct.logits[real], rtol=1e-4, atol=1e-5)
    for layer in (0, 3):
        assert found.hidden[layer].dtype == torch.float16
        torch.testing.assert_close(
            found.hidden[layer][mask].float(), direct.hidden_states[layer][mask], rtol=2e-3, atol=2e-3
        )
        assert (found.hidden[layer][~mask] == 0).all()
    for layer in (1, 2):
        for one, other in zip(found.projections[layer], direct.projections[layer - 1], strict=True):
            torch.testing.assert_close(one[mask], other[mask], rtol=5e-3, atol=5e-3)


def test_targets_are_read_back_and_take_the_room_that_was_foretold(tmp_path: Path):
    rows, teacher = random_rows("tags", 30, 1), random_model("tags")
    compute_targets(teacher, rows, (1, 2), tmp_path)
    read = TeacherTargets.load(tmp_path, rows, teacher)
    assert read.layers == (1, 2)
    written = sum(path.stat().st_size for path in tmp_path.iterdir()) - (tmp_path / "targets.json").stat().st_size
    header = 128
    assert written == targets_bytes(rows, 2, 16, 3) + header


def test_targets_without_states_hold_logits_alone(tmp_path: Path):
    rows, teacher = random_rows("class", 30, 1), random_model("class")
    targets = compute_targets(teacher, rows, (), tmp_path)
    assert targets(collate(rows, np.arange(3)), Request()).hidden == {}
    assert not list(tmp_path.glob("hidden-*"))


def test_rows_that_nobody_labelled_have_targets_too(tmp_path: Path):
    rows = JoinedTokens([random_rows("class", 20, 1), random_rows("class", 30, 2, labelled=False)])
    teacher = random_model("class")
    targets = compute_targets(teacher, rows, (2,), tmp_path)
    batch = collate(rows, np.array([3, 20, 49]))
    with torch.no_grad():
        direct = teacher(batch.input_ids, batch.attention_mask)
    torch.testing.assert_close(targets(batch, Request()).logits, direct.logits, rtol=1e-4, atol=1e-5)


ALL = {
    "soft_targets": 1.0,
    "hard_labels": 0.5,
    "hidden_states": 1.0,
    "attention_maps": 1.0,
    "relations": 1.0,
    "cosine": 1.0,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_cache_and_a_teacher_in_the_loop_give_the_same_loss(kind: str, tmp_path: Path):
    rows, teacher, student = random_rows(kind, 40, 1), random_model(kind, layers=4), random_model(kind, seed=1)
    following = Following(((1, 2), (2, 4)), (2, 4), (2, 4), temperature=2.0)
    cached = compute_targets(teacher, rows, following.teacher_states(ALL), tmp_path)
    batch = collate(rows, np.arange(40))
    both = [
        Objective(ALL, outputs, following)(student, batch) for outputs in (cached, LiveTeacher(teacher, bf16=False))
    ]
    for name in ALL:
        assert float(both[0][1][name]) == pytest.approx(float(both[1][1][name]), rel=2e-3, abs=1e-5)
        assert float(both[0][1][name]) > 1e-4
    both[0][0].backward()
    assert all(bool(torch.isfinite(value.grad).all()) for value in student.parameters() if value.grad is not None)


class Said(SilentProgress):
    """Keeps the lines that a person would see."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def bar(self, description: str, total: float) -> Iterator[object]:
        with super().bar(description, total) as bar:
            yield bar


@pytest.mark.parametrize(
    ("wanted", "free", "chosen", "line"),
    [
        ("auto", 100e9, "cache", "the teacher's outputs are computed once and kept: 2.5 GB (100.0 GB are free)"),
        ("auto", 3e9, "loop", "the teacher runs in every step: its outputs would take 2.5 GB (3.0 GB are free)"),
        ("cache", 100e9, "cache", "the teacher's outputs are computed once and kept: 2.5 GB (100.0 GB are free)"),
        ("loop", 100e9, "loop", "the teacher runs in every step, as the recipe says"),
    ],
)
def test_what_fits_the_disk_is_cached_and_said(
    wanted: str, free: float, chosen: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk = namedtuple("disk", "free")(int(free))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: disk)
    said = Said()
    assert choose_outputs(wanted, int(2.5e9), tmp_path, said) == chosen
    assert said.lines == [line]


def test_a_cache_that_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: namedtuple("disk", "free")(900_000))
    with pytest.raises(EdgeDistilError) as caught:
        choose_outputs("cache", 1_000_000, tmp_path)
    assert caught.value.line() == (
        f"{tmp_path}: the teacher's outputs take 1.0 MB (0.9 MB are free); "
        "free some space, or set distil.teacher_outputs: loop"
    )


def test_a_teacher_in_the_loop_leaves_nothing_but_a_note(tmp_path: Path):
    rows, teacher = random_rows("class", 30, 1), random_model("class")
    compute_targets(teacher, rows, (1, 2), tmp_path, outputs="loop")
    assert [path.name for path in tmp_path.iterdir()] == ["targets.json"]
    assert isinstance(open_outputs(tmp_path, rows, teacher), LiveTeacher)
