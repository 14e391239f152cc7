from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import pearsonr
from tiny_rows import random_model, random_rows

from edgedistil.distil.evaluate import predict_logits
from edgedistil.distil.judge import TaskJudge


def test_classes_are_judged_by_accuracy_and_cross_entropy():
    rows, model = random_rows("class", 60, 1), random_model("class")
    judge = TaskJudge("text-classification", rows, ["a", "b", "c"])
    found = judge(model, bf16=False)
    logits = predict_logits(model, rows)
    assert judge.metric == "accuracy"
    assert found.score == pytest.approx((logits.argmax(1) == rows.labels).mean())
    expected = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(rows.labels))
    assert found.loss == pytest.approx(float(expected), rel=1e-4)


def test_scores_are_judged_by_correlation_and_squared_error():
    rows, model = random_rows("value", 60, 1), random_model("value")
    judge = TaskJudge("regression", rows)
    found = judge(model, bf16=False)
    values = predict_logits(model, rows)[:, 0]
    assert judge.metric == "pearson"
    assert found.score == pytest.approx(pearsonr(values, rows.labels).statistic, rel=1e-4)
    assert found.loss == pytest.approx(np.square(values - rows.labels).mean(), rel=1e-4)
