from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from edgedistil.distil.batches import Batch
from edgedistil.distil.losses import LOSSES, LossInputs
from edgedistil.distil.objective import Objective

MASK = torch.tensor([[1, 1, 0], [1, 0, 0]])
LABELS = torch.tensor([0, 1])


def inputs(logits: Tensor, **more: object) -> LossInputs:
    return LossInputs(**{"logits": logits, "labels": LABELS, "attention_mask": MASK, **more})


def loss(name: str, given: LossInputs) -> Tensor:
    return LOSSES[name]()(given)


def test_hard_labels_are_the_cross_entropy():
    value = loss("hard_labels", inputs(torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(4.0)]])))
    assert float(value) == pytest.approx((math.log(4 / 3) + math.log(5 / 4)) / 2, rel=1e-6)


def test_soft_targets_are_the_divergence_times_the_squared_temperature():
    student = torch.tensor([[2 * math.log(3.0), 0.0], [0.0, 0.0]])
    teacher = torch.tensor([[0.0, 0.0], [0.0, 2 * math.log(7.0)]])
    value = loss("soft_targets", inputs(student, teacher_logits=teacher, temperature=2.0))
    # At T = 2 the student gives (3/4, 1/4) and (1/2, 1/2), the teacher (1/2, 1/2) and (1/8, 7/8).
    first = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    second = 0.125 * math.log(0.125 / 0.5) + 0.875 * math.log(0.875 / 0.5)
    assert float(value) == pytest.approx(4 * (first + second) / 2, rel=1e-5)


def test_soft_targets_vanish_where_the_student_is_the_teacher():
    logits = torch.randn(2, 5)
    value = loss("soft_targets", inputs(logits, teacher_logits=logits + 3.0, temperature=3.0))
    assert float(value) == pytest.approx(0, abs=1e-5)


def test_the_gradient_of_soft_targets_keeps_its_size_as_the_temperature_rises():
    # For large T the gradient tends to (student - teacher) / classes, once each is centred (Hinton 2015, equation 4).
    student = torch.tensor([[1.0, -0.5, 0.2], [0.0, 2.0, -1.0]], requires_grad=True)
    teacher = torch.tensor([[0.5, 0.5, -1.0], [1.0, 1.0, 0.0]])
    loss("soft_targets", inputs(student, teacher_logits=teacher, temperature=100.0)).backward()
    difference = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    torch.testing.assert_close(student.grad, (difference / 3 / 2).detach(), rtol=0.05, atol=2e-3)


def test_soft_targets_need_a_teacher():
    with pytest.raises(ValueError, match="soft targets need a teacher"):
        loss("soft_targets", inputs(torch.zeros(2, 2)))


def test_hidden_states_are_compared_on_real_tokens_alone():
    student, teacher = torch.zeros(2, 3, 2), torch.zeros(2, 3, 2)
    teacher[0, 0] = torch.tensor([1.0, 2.0])
    teacher[1, 0] = torch.tensor([0.0, 3.0])
    expected = (1 + 4 + 9) / (3 * 2)
    given = {"hidden": (student,), "teacher_hidden": (teacher.half(),)}
    assert float(loss("hidden_states", inputs(torch.zeros(2, 2), **given))) == pytest.approx(expected)
    teacher[:, 2] = 1000.0
    student[1, 1] = -1000.0
    assert float(loss("hidden_states", inputs(torch.zeros(2, 2), **given))) == pytest.approx(expected)


def test_hidden_states_are_averaged_over_layers():
    zero, one, two = (torch.full((2, 3, 4), value) for value in (0.0, 1.0, 2.0))
    given = inputs(torch.zeros(2, 2), hidden=(zero, zero), teacher_hidden=(one, two))
    assert float(loss("hidden_states", given)) == pytest.approx((1 + 4) / 2)


def test_padding_gets_no_gradient():
    student = torch.randn(2, 3, 4, requires_grad=True)
    teacher = torch.randn(2, 3, 4)
    loss("hidden_states", inputs(torch.zeros(2, 2), hidden=(student,), teacher_hidden=(teacher,))).backward()
    assert student.grad is not None
    assert torch.equal(student.grad.abs().sum(-1) > 0, MASK.bool())


@pytest.mark.parametrize("teacher", [0, 1])
def test_hidden_states_must_pair(teacher: int):
    states = torch.zeros(2, 3, 4)
    with pytest.raises(ValueError, match=rf"2 student states, {teacher} teacher states"):
        loss("hidden_states", inputs(torch.zeros(2, 2), hidden=(states, states), teacher_hidden=(states,) * teacher))


@pytest.mark.parametrize("name", ["soft_targets", "hidden_states"])
def test_an_objective_that_follows_a_teacher_must_have_one(name: str):
    with pytest.raises(ValueError, match="a loss that follows the teacher needs its targets"):
        Objective({"hard_labels": 1.0, name: 0.5})
    assert Objective({"hard_labels": 1.0, name: 0.0}).active == ("hard_labels",)


def test_an_unknown_loss_is_refused():
    with pytest.raises(KeyError, match="hard_label"):
        Objective({"hard_label": 1.0})


class Given:
    """A teacher's targets and a student's outputs that a test has chosen."""

    layers = (1,)

    def __init__(self) -> None:
        self.states = torch.zeros(2, 3, 4)
        self.asked: list[bool] = []

    def logits(self, batch: Batch) -> Tensor:
        return torch.zeros(2, 2)

    def hidden(self, batch: Batch) -> tuple[Tensor, ...]:
        return (torch.ones(2, 3, 4),)

    def __call__(self, input_ids: Tensor, attention_mask: Tensor, output_hidden_states: bool) -> SimpleNamespace:
        self.asked.append(output_hidden_states)
        logits = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
        return SimpleNamespace(logits=logits, hidden_states=(self.states - 7, self.states))


def test_an_objective_is_the_weighted_sum_of_its_terms():
    given = Given()
    batch = Batch(torch.arange(2).numpy(), torch.zeros(2, 3, dtype=torch.int64), MASK, LABELS)
    weights = {"hard_labels": 0.5, "soft_targets": 2.0, "hidden_states": 10.0}
    total, terms = Objective(weights, 2.0, given, (1,))(given, batch)
    assert set(terms) == set(weights)
    assert terms["hidden_states"] == pytest.approx(1.0)
    assert float(total) == pytest.approx(sum(weights[name] * terms[name] for name in weights), rel=1e-6)
    assert given.asked == [True]


def test_hidden_states_are_not_asked_for_in_vain():
    given = Given()
    batch = Batch(torch.arange(2).numpy(), torch.zeros(2, 3, dtype=torch.int64), MASK, LABELS)
    objective = Objective({"hard_labels": 1.0, "soft_targets": 1.0, "hidden_states": 0.0}, 2.0, given, (1,))
    _, terms = objective(given, batch)
    assert set(terms) == {"hard_labels", "soft_targets"}
    assert given.asked == [False]
