"""A training under group lasso: groups shrink, weights are renewed on time, a killed run ends as one that was not."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.objective import Objective
from edgedistil.distil.penalty import PenalisedObjective
from edgedistil.distil.precision import choose_precision
from edgedistil.distil.run import Run
from edgedistil.distil.trainer import TrainingSet, train
from edgedistil.models import EdgeBertForSequenceClassification
from edgedistil.prune.blocks import sublayers_of
from edgedistil.prune.group_lasso import GroupLasso
from edgedistil.recipe.schema import FineTune


@pytest.fixture
def rows() -> EvaluationSet:
    generator = np.random.default_rng(0)
    ids, count = generator.integers(1, 60, size=96 * 6), 96
    labels = generator.integers(0, 3, size=count)
    return EvaluationSet(ids, np.arange(count + 1) * 6, labels, [str(number) for number in range(count)])


def under_lasso(model: EdgeBertForSequenceClassification, strength: float, every: int = 4) -> PenalisedObjective:
    lasso = GroupLasso(model, sublayers_of(model.config, 8), strength)
    return PenalisedObjective({"hard_labels": 1.0}, penalty=lasso, every=every)


def test_groups_shrink_more_than_without(
    model: EdgeBertForSequenceClassification, rows: EvaluationSet, tmp_path: Path
) -> None:
    settings = FineTune(epochs=2, batch_size=8, learning_rate=3e-3)
    sizes = {}
    for name in ("plain", "lasso"):
        trained = copy.deepcopy(model)
        objective = under_lasso(trained, 0.1) if name == "lasso" else Objective({"hard_labels": 1.0})
        result = train(trained, TrainingSet(rows, rows), objective, settings, tmp_path / name, seed=1)
        sizes[name] = torch.cat(GroupLasso(trained, sublayers_of(trained.config, 8)).squared_norms())
        assert result.steps == 24
    assert (sizes["lasso"] < sizes["plain"]).float().mean() > 0.95
    assert result.best_step == 24


def test_weights_are_renewed_every_so_many_steps(model: EdgeBertForSequenceClassification, rows: EvaluationSet) -> None:
    objective = under_lasso(model, 0.1, every=3)
    settings = FineTune(epochs=1, batch_size=16, learning_rate=1e-3, accumulate=2)
    run = Run(model, TrainingSet(rows, rows), objective, settings, seed=1, precision=choose_precision())
    seen = []
    for _ in range(6):
        run.step()
        seen.append(torch.cat([each.clone() for each in objective.penalty.state.buffers()]))
    renewed = [not torch.equal(before, after) for before, after in itertools.pairwise(seen)]
    assert renewed == [False, False, True, False, False]


def test_a_process_without_a_row_renews_them_when_the_others_do(
    model: EdgeBertForSequenceClassification, rows: EvaluationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective, renewed = under_lasso(model, 0.1, every=3), []
    run = Run(model, TrainingSet(rows, rows), objective, FineTune(batch_size=1), seed=1, precision=choose_precision())
    run.processes.number, run.processes.count = 1, 2
    monkeypatch.setattr(run.processes, "add_up", lambda parameters, values: values)
    monkeypatch.setattr(objective.penalty, "reweight", lambda: renewed.append(run.state.step))
    for _ in range(7):
        run.step()
    assert renewed == [3, 6]


def test_a_run_that_goes_on_knows_its_weights(model: EdgeBertForSequenceClassification, rows: EvaluationSet) -> None:
    settings = FineTune(epochs=2, batch_size=16, learning_rate=1e-2)

    def fresh() -> Run:
        own = copy.deepcopy(model).train()
        return Run(own, TrainingSet(rows, rows), under_lasso(own, 0.1), settings, seed=1, precision=choose_precision())

    whole, first = fresh(), fresh()
    for _ in range(6):
        first.step()
    saved = copy.deepcopy(first.saved())
    second = fresh()
    second.restore(saved)
    for _ in range(9):
        whole.step()
    for _ in range(3):
        second.step()
    for one, other in zip(whole.parameters, second.parameters, strict=True):
        assert torch.equal(one, other)
