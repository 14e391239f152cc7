from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from loss_inputs import LABELS, MASK
from torch import Tensor

from edgedistil.distil.batches import Batch
from edgedistil.distil.following import Following
from edgedistil.distil.losses import LOSSES, loss_function
from edgedistil.distil.losses.base import Outputs
from edgedistil.distil.objective import Objective
from edgedistil.recipe.schema import Ramp


@pytest.mark.parametrize("name", [name for name, entry in LOSSES.items() if entry.teacher])
def test_an_objective_that_follows_a_teacher_must_have_one(name: str):
    with pytest.raises(ValueError, match="a loss that follows the teacher needs its outputs"):
        Objective({"hard_labels": 1.0, name: Ramp(start=0.0, end=0.5)})
    assert Objective({"hard_labels": 1.0, name: 0.0}).active == ("hard_labels",)


def test_an_unknown_loss_is_refused():
    with pytest.raises(KeyError, match="hard_label"):
        Objective({"hard_label": 1.0})


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_the_function_of_its_name(name: str):
    assert loss_function(name).__name__ == name


class Model:
    """A student and its teacher whose outputs a test has chosen; notes what it was asked for."""

    config = SimpleNamespace(head_size=2)

    def __init__(self) -> None:
        self.asked: list[dict[str, bool]] = []

    def __call__(self, input_ids: Tensor, attention_mask: Tensor, **asked: bool) -> SimpleNamespace:
        self.asked.append(asked)
        state = torch.zeros(2, 4, 3)
        return SimpleNamespace(
            logits=torch.tensor([[1.0, 0.0], [0.0, 0.0]], requires_grad=True), hidden_states=(state - 7, state)
        )


def teacher_of_ones(batch: Batch, request: object) -> Outputs:
    return Outputs(torch.zeros(2, 2), {2: torch.ones(2, 4, 3)})


BATCH = Batch(np.arange(2), torch.zeros(2, 4, dtype=torch.int64), MASK, LABELS)
FOLLOWING = Following(pairs=((1, 2),), temperature=2.0)


def test_an_objective_is_the_weighted_sum_of_its_mean_terms():
    model = Model()
    weights = {"hard_labels": 0.5, "soft_targets": 2.0, "hidden_states": 10.0}
    total, terms = Objective(weights, teacher_of_ones, FOLLOWING)(model, BATCH)
    assert set(terms) == set(weights)
    assert float(terms["hidden_states"]) == pytest.approx(1.0)
    assert float(terms["hard_labels"]) == pytest.approx((math.log(1 + math.exp(-1)) + math.log(2)) / 2)
    assert float(total.detach()) == pytest.approx(sum(weights[name] * float(terms[name]) for name in weights), rel=1e-6)
    assert model.asked == [{"output_hidden_states": True}]


def test_states_are_not_asked_for_in_vain():
    model = Model()
    _, terms = Objective({"hard_labels": 1.0, "soft_targets": 1.0, "hidden_states": 0.0}, teacher_of_ones, FOLLOWING)(
        model, BATCH
    )
    assert set(terms) == {"hard_labels", "soft_targets"}
    assert model.asked == [{}]


def test_weights_change_as_the_run_goes_on():
    objective = Objective(
        {"hard_labels": Ramp(start=0.0, end=1.0), "soft_targets": Ramp(start=1.0, end=0.0)}, teacher_of_ones
    )
    first, _ = objective(Model(), BATCH, share=0.0)
    half, terms = objective(Model(), BATCH, share=0.5)
    last, final = objective(Model(), BATCH, share=1.0)
    assert (float(first), float(last)) == pytest.approx((float(terms["soft_targets"]), float(terms["hard_labels"])))
    assert float(half) == pytest.approx((float(first) + float(last)) / 2)
    assert set(final) == {"hard_labels"}, "what counts nothing is not computed"
