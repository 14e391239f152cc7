from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import tiny
import torch
from accelerate.state import AcceleratorState
from tiny_tokens import LABELS, write_tokens

from edgedistil.distil.evaluate import predict_logits
from edgedistil.distil.judge import TaskJudge
from edgedistil.distil.objective import Objective
from edgedistil.distil.teacher import open_teacher
from edgedistil.distil.trainer import TrainingSet, train
from edgedistil.models import EdgeBertConfig, EdgeBertForSequenceClassification
from edgedistil.progress import SilentProgress
from edgedistil.quantise.prepare import Config, calibrate, prepare, set_ranges
from edgedistil.quantise.qat import quantise_aware
from edgedistil.recipe.distilling import Losses
from edgedistil.recipe.quantising import QuantisedTraining
from edgedistil.recipe.schema import Distil, FineTune

COARSE = Config(weight_bits=2, outputs=True)
SETTINGS = Distil(
    epochs=1,
    batch_size=8,
    learning_rate=1e-3,
    evaluations_per_epoch=1,
    dropout=0.0,
    losses=Losses(soft_targets=1.0, hard_labels=0.0, hidden_states=1.0),
)


@pytest.mark.parametrize(("asked", "share"), [({}, 0.0), ({"dropout": 0.2}, 0.2), ({"dropout": None}, None)])
def test_a_recipe_drops_nothing_out_unless_it_says_so(asked, share):
    assert QuantisedTraining.model_validate(asked).as_distil.dropout == share


def test_labels_teach_nothing_unless_a_recipe_says_so():
    for asked in ({}, {"losses": {"hidden_states": 1.0}}):
        assert QuantisedTraining.model_validate(asked).as_distil.losses.hard_labels == 0.0
    assert QuantisedTraining.model_validate({"losses": {"hard_labels": 0.3}}).as_distil.losses.hard_labels == 0.3


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """Returns a tiny fine-tuned model and its rows."""
    root = tmp_path_factory.mktemp("qat")
    AcceleratorState._reset_state(True)
    untrained = tiny.write_teacher(root / "untrained", layers=1, hidden=64)
    data = TrainingSet(write_tokens(untrained, root / "train", 320, 1), write_tokens(untrained, root / "dev", 120, 2))
    model = open_teacher(untrained, LABELS, fine_tuned=False, seed=0)
    settings = FineTune(epochs=8, learning_rate=3e-3, batch_size=32)
    train(model, data, Objective({"hard_labels": 1.0}), settings, root / "run", seed=0, precision="no")
    return model, data


def _run(taught, folder, **more):
    model, data = taught
    AcceleratorState._reset_state(True)
    return quantise_aware(model, data, SETTINGS, data.dev, folder, config=COARSE, seed=0, precision="no", **more)


@pytest.fixture(scope="module")
def trained(taught, tmp_path_factory):
    """Returns what training without a break gives."""
    return _run(taught, tmp_path_factory.mktemp("whole"))


def test_training_brings_a_rounded_model_nearer_to_itself(taught, trained):
    model, data = taught
    exact = predict_logits(model, data.dev)
    plain = prepare(model, COARSE)
    calibrate(plain, data.dev)
    rounded = prepare(trained.model, COARSE)
    set_ranges(rounded, trained.ranges)
    before, after = (abs(predict_logits(one, data.dev) - exact).mean() for one in (plain, rounded))
    assert after < 0.85 * before
    judged = TaskJudge("text-classification", data.dev, LABELS)(rounded, bf16=False)
    assert judged.score == trained.training.dev_score
    assert set(trained.model.state_dict()) == set(model.state_dict())
    name = "encoder.layers.0.ffn.up"
    assert trained.ranges.inputs[name] != plain.get_submodule(name).source.range()


class _KilledError(Exception):
    pass


@dataclass
class _Stops(SilentProgress):
    """Ends a run after some steps, as a killed process does."""

    left: int

    def bar(self, description, total):
        outer = self

        class Bar:
            def __enter__(self):
                return self

            def __exit__(self, *rest):
                return None

            def advance(self, amount=1):
                if description.startswith("training"):
                    outer.left -= amount
                    if outer.left < 0:
                        raise _KilledError

            def describe(self, text):
                return None

        return Bar()


def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(taught, trained, tmp_path):
    with pytest.raises(_KilledError):
        _run(taught, tmp_path / "killed", progress=_Stops(13), checkpoint_seconds=0.0)
    resumed = _run(taught, tmp_path / "killed")
    assert resumed.training.resumed_from > 0
    assert resumed.ranges == trained.ranges
    assert (predict_logits(resumed.model, taught[1].dev) == predict_logits(trained.model, taught[1].dev)).all()


@pytest.mark.parametrize("loss", ["relations", "attention_maps"])
def test_a_last_layer_without_heads_is_trained_by_those_that_have_some(loss, rows, tmp_path):
    torch.manual_seed(3)
    sizes = {"hidden_size": 24, "head_size": 6, "heads": [4, 0], "ffn": [16, 16], "max_position_embeddings": 20}
    model = EdgeBertForSequenceClassification(EdgeBertConfig(vocab_size=60, num_labels=3, **sizes))
    asked = QuantisedTraining.model_validate({"epochs": 0.5, "batch_size": 8, "losses": {loss: 1.0}})
    AcceleratorState._reset_state(True)
    made = quantise_aware(
        model, TrainingSet(rows, rows), asked.as_distil, rows, tmp_path, config=COARSE, seed=0, precision="no"
    )
    assert math.isfinite(made.training.dev_score)
