from __future__ import annotations

import math

import pytest
import torch
from loss_inputs import REAL, answers, kl, loss, softmax

from edgedistil.distil.following import Following

# Every loss is a sum over its unit; the objective divides by how many there are in the step.


def test_hard_labels_of_classes_are_the_cross_entropy_of_the_rows_that_have_one():
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(4.0)]])
    both = math.log(4 / 3) + math.log(5 / 4)
    assert float(loss("hard_labels", answers(logits))) == pytest.approx(both, rel=1e-6)
    half = loss("hard_labels", answers(logits, labels=torch.tensor([-1, 1])))
    assert float(half) == pytest.approx(math.log(5 / 4), rel=1e-6)


def test_hard_labels_of_scores_are_the_squared_error_of_the_rows_that_have_one():
    logits = torch.tensor([[1.5], [4.0]], requires_grad=True)
    inputs = answers(logits, kind="value", labels=torch.tensor([1.0, math.nan]))
    value = loss("hard_labels", inputs)
    value.backward()
    assert float(value.detach()) == pytest.approx(0.25)
    assert logits.grad.tolist() == [[1.0], [0.0]]


def test_hard_labels_of_tags_leave_out_tokens_that_are_not_scored():
    logits = torch.randn(2, 4, 3, requires_grad=True)
    labels = torch.tensor([[-100, 2, 0, -100], [1, -100, -100, -100]])
    value = loss("hard_labels", answers(logits, kind="tags", labels=labels))
    places = [(0, 1, 2), (0, 2, 0), (1, 0, 1)]
    expected = sum(-math.log(softmax(logits[row, token].tolist())[tag]) for row, token, tag in places)
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)
    value.backward()
    touched = {(row, token) for row, token, _ in places}
    assert {(row, token) for row in range(2) for token in range(4) if logits.grad[row, token].any()} == touched


def test_hard_labels_of_spans_choose_among_real_tokens():
    logits = torch.randn(2, 4, 2)
    logits[0, 3] = 50.0  # padding must not count
    labels = torch.tensor([[1, 2], [-100, -100]])
    value = loss("hard_labels", answers(logits, kind="span", labels=labels))
    start, end = softmax(logits[0, :3, 0].tolist()), softmax(logits[0, :3, 1].tolist())
    assert float(value) == pytest.approx(-(math.log(start[1]) + math.log(end[2])) / 2, rel=1e-5)


def test_masked_words_are_learnt_by_cross_entropy():
    labels = torch.tensor([[-100, 4, -100, -100], [0, -100, -100, -100]])
    logits = torch.randn(2, 5)
    value = loss("masked_language", answers(logits, kind="masked", labels=labels))
    expected = -math.log(softmax(logits[0].tolist())[4]) - math.log(softmax(logits[1].tolist())[0])
    assert float(value) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="rows of kind 'class' have no masked words"):
        loss("masked_language", answers(logits))


def test_soft_targets_are_the_divergence_times_the_squared_temperature():
    student, teacher = torch.randn(2, 3), torch.randn(2, 3)
    value = loss("soft_targets", answers(student, teacher, following=Following(temperature=2.0)))
    expected = sum(4 * kl((teacher[row] / 2).tolist(), (student[row] / 2).tolist()) for row in range(2))
    assert float(value) == pytest.approx(expected, rel=1e-4)


def test_soft_targets_of_scores_are_the_squared_distance_from_the_teachers():
    value = loss("soft_targets", answers(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [2.5]]), kind="value"))
    assert float(value) == pytest.approx(4.25)


def test_soft_targets_of_tags_count_real_tokens_alone():
    student, teacher = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    value = loss("soft_targets", answers(student, teacher, kind="tags"))
    expected = sum(kl(teacher[place].tolist(), student[place].tolist()) for place in REAL)
    assert float(value) == pytest.approx(expected, rel=1e-4)


def test_soft_targets_of_spans_are_over_a_rows_real_tokens():
    student, teacher = torch.randn(2, 4, 2), torch.randn(2, 4, 2)
    student[0, 3] = teacher[1, 2:] = 40.0
    value = loss("soft_targets", answers(student, teacher, kind="span"))
    expected = sum(
        kl(teacher[row, :length, side].tolist(), student[row, :length, side].tolist()) / 2
        for row, length in enumerate((3, 2))
        for side in range(2)
    )
    assert float(value) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "shape"), [("class", (2, 3)), ("tags", (2, 4, 3)), ("span", (2, 4, 2)), ("masked", (5, 9))]
)
def test_soft_targets_vanish_where_the_student_is_the_teacher(kind: str, shape: tuple[int, ...]):
    logits, following = torch.randn(shape, requires_grad=True), Following(temperature=3.0)
    value = loss("soft_targets", answers(logits, logits.detach() + 3.0, kind=kind, following=following))
    value.backward()
    assert float(value) == pytest.approx(0, abs=1e-5)
    assert float(logits.grad.abs().max()) < 1e-6


def test_the_gradient_of_soft_targets_keeps_its_size_as_the_temperature_rises():
    # For large T the gradient tends to (student - teacher) / classes, once each is centred (Hinton 2015, equation 4).
    student = torch.tensor([[1.0, -0.5, 0.2], [0.0, 2.0, -1.0]], requires_grad=True)
    teacher = torch.tensor([[0.5, 0.5, -1.0], [1.0, 1.0, 0.0]])
    loss("soft_targets", answers(student, teacher, following=Following(temperature=100.0))).backward()
    difference = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    torch.testing.assert_close(student.grad, (difference / 3).detach(), rtol=0.05, atol=2e-3)


def test_soft_targets_need_a_teacher():
    with pytest.raises(ValueError, match="soft targets need a teacher"):
        loss("soft_targets", answers(torch.zeros(2, 2)))
