from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgedistil.distil import targets as targets_module
from edgedistil.distil.batches import collate
from edgedistil.distil.evaluate import accuracy, predict_logits
from edgedistil.distil.targets import TeacherTargets, compute_targets, targets_bytes


@pytest.fixture
def fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arithmetic that the direct outputs are computed in."""
    monkeypatch.setattr(targets_module, "choose_precision", lambda: "no")


@pytest.mark.usefixtures("fp32")
def test_targets_are_the_teachers_own_outputs(world, teacher, tmp_path: Path):
    tokens = world.data.train
    targets = compute_targets(teacher, tokens, (0, 2), tmp_path)
    batch = collate(tokens, np.array([7, 400, 3, 3, 479]))
    with torch.no_grad():
        direct = teacher(batch.input_ids, batch.attention_mask, output_hidden_states=True)
    torch.testing.assert_close(targets.logits(batch), direct.logits, rtol=1e-4, atol=1e-5)
    mask = batch.attention_mask.bool()
    assert not mask.all(), "the batch must have padding to be looked at"
    for kept, layer in zip(targets.hidden(batch), (0, 2), strict=True):
        assert kept.dtype == torch.float16
        torch.testing.assert_close(kept[mask].float(), direct.hidden_states[layer][mask], rtol=2e-3, atol=2e-3)
        assert (kept[~mask] == 0).all()


@pytest.mark.usefixtures("fp32")
def test_targets_are_read_back_and_take_the_room_that_was_foretold(world, teacher, tmp_path: Path):
    tokens = world.data.dev
    made = compute_targets(teacher, tokens, (1, 2), tmp_path)
    read = TeacherTargets.load(tmp_path, tokens)
    batch = collate(tokens, np.arange(10))
    assert read.layers == (1, 2)
    assert torch.equal(read.logits(batch), made.logits(batch))
    for one, other in zip(read.hidden(batch), made.hidden(batch), strict=True):
        assert torch.equal(one, other)
    size = sum(path.stat().st_size for path in tmp_path.glob("hidden-*.bin"))
    assert size == targets_bytes(tokens, 2, teacher.config.hidden_size)


def test_targets_without_states_hold_logits_alone(world, teacher, tmp_path: Path):
    targets = compute_targets(teacher, world.data.dev, (), tmp_path)
    assert targets.hidden(collate(world.data.dev, np.arange(3))) == ()
    assert accuracy(targets.logit_table, world.data.dev.labels) == pytest.approx(world.result.dev_accuracy, abs=0.02)
    assert not list(tmp_path.glob("hidden-*"))


def test_logits_come_in_the_order_of_the_rows(world, teacher):
    logits = predict_logits(teacher, world.data.dev)
    assert logits.shape == (120, 2)
    assert logits.dtype == np.float32
    for index in (0, 50, 119):
        ids = torch.from_numpy(world.data.dev.tokens(index))[None]
        with torch.no_grad():
            alone = teacher(ids, torch.ones_like(ids)).logits[0]
        np.testing.assert_allclose(logits[index], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_the_mode_as_it_was_and_uses_no_dropout(world, teacher, training: bool):
    teacher.train(training)
    first = predict_logits(teacher, world.data.dev)
    assert teacher.training == training
    assert np.array_equal(first, predict_logits(teacher, world.data.dev))


def test_accuracy_is_the_share_of_right_rows():
    assert accuracy(np.array([[0.0, 1.0], [1.0, 0.0], [3.0, 2.0]]), np.array([1, 1, 0])) == pytest.approx(2 / 3)
