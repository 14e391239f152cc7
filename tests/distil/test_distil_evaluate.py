from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_rows import KINDS, random_model, random_rows

from edgedistil.distil.evaluate import accuracy, predict_logits


@pytest.mark.parametrize("kind", KINDS)
def test_logits_come_in_the_order_of_the_rows(kind: str):
    rows, model = random_rows(kind, 40, 1), random_model(kind)
    logits = predict_logits(model, rows)
    assert logits.dtype == np.float32
    for index in (0, 20, 39):
        ids = torch.from_numpy(rows.tokens(index))[None]
        with torch.no_grad():
            alone = model(ids, torch.ones_like(ids)).logits[0]
        own = logits[rows.slice(index)] if kind in ("tags", "span") else logits[index]
        np.testing.assert_allclose(own, alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_the_mode_as_it_was_and_uses_no_dropout(training: bool):
    rows, model = random_rows("class", 40, 1), random_model("class")
    model.train(training)
    first = predict_logits(model, rows)
    assert model.training == training
    assert np.array_equal(first, predict_logits(model, rows))


def test_accuracy_is_the_share_of_right_rows():
    assert accuracy(np.array([[0.0, 1.0], [1.0, 0.0], [3.0, 2.0]]), np.array([1, 1, 0])) == pytest.approx(2 / 3)
