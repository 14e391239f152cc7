from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_rows import random_model, random_rows

from edgedistil.distil.batches import row_lengths
from edgedistil.distil.distil import distil
from edgedistil.distil.general import distil_general
from edgedistil.distil.judge import Judgement
from edgedistil.distil.masking import Masking
from edgedistil.distil.outputs import LiveTeacher
from edgedistil.distil.rows import JoinedTokens
from edgedistil.distil.student import make_student
from edgedistil.distil.trainer import TrainingSet
from edgedistil.errors import UsageError
from edgedistil.progress import SilentProgress
from edgedistil.recipe.schema import Distil, General

TINYBERT = {
    "stages": [
        {"losses": {"attention_maps": 1, "hidden_states": 1}, "epochs": 2, "learning_rate": 3e-3},
        {"losses": {"soft_targets": 1}, "epochs": 1},
    ],
    "learning_rate": 1e-3,
    "batch_size": 16,
    "layer_map": [(0, 0), (1, 2), (2, 4)],
}


class ByAgreement:
    """A judge for random rows: how far a student's answers are from the teacher's."""

    metric = "negative distance"

    def __init__(self, teacher, rows) -> None:
        self.teacher, self.rows = teacher, rows

    def __call__(self, model, *, bf16: bool) -> Judgement:
        model.eval()
        ids, mask = (torch.from_numpy(part) for part in self.rows.batch(range(8), int(row_lengths(self.rows).max())))
        with torch.no_grad():
            distance = float((model(ids, mask).logits - self.teacher(ids, mask).logits).square().mean())
        model.train()
        return Judgement(-distance, distance)


def data(kind: str, teacher=None, count: int = 64) -> TrainingSet:
    rows = random_rows(kind, count, 1)
    return TrainingSet(rows, random_rows(kind, 16, 2), judge=ByAgreement(teacher, rows) if teacher else None)


def test_tinyberts_two_stages_are_one_recipe_with_a_narrower_student(tmp_path: Path):
    teacher = random_model("class", layers=4)
    student = random_model("class", layers=2, seed=1, hidden_size=8, head_size=2)
    outputs = LiveTeacher(teacher, bf16=False)

    def run(settings: dict) -> tuple:
        torch.manual_seed(0)
        own = random_model("class", layers=2, seed=1, hidden_size=8, head_size=2)
        kwargs = {"seed": 0, "precision": "no"}
        return own, distil(own, data("class", teacher), Distil(**settings), outputs, tmp_path / "run", **kwargs)

    trained, result = run(TINYBERT)
    first = [record for record in result.history if record["stage"] == 1]
    second = [record for record in result.history if record["stage"] == 2]
    assert {"attention_maps", "hidden_states"} < set(first[0])
    assert first[-1]["hidden_states"] < first[0]["hidden_states"]
    assert first[-1]["attention_maps"] < first[0]["attention_maps"]
    assert "soft_targets" in second[0]
    assert "hidden_states" not in second[0]
    assert [record["step"] for record in result.history] == [2, 4, 6, 8, 10, 12]
    assert result.history[-1]["epoch"] == 3
    assert trained.config.hidden_size == student.config.hidden_size == 8
    # A finished run is found again, stage by stage.
    again, resumed = run(TINYBERT)
    assert (resumed.resumed_from, resumed.history) == (12, result.history)
    weights = trained.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in again.state_dict().items())


def test_every_stage_computes_in_bf16_where_that_is_chosen(tmp_path: Path):
    teacher, student = random_model("class"), random_model("class", layers=1, seed=1)
    seen: list[bool] = []

    def note(module, inputs) -> None:
        if module.training:
            seen.append(torch.is_autocast_enabled("cpu"))

    student.encoder.register_forward_pre_hook(note)
    stages = [{"losses": {name: 1}, "epochs": 1} for name in ("hidden_states", "soft_targets")]
    settings = Distil(stages=stages, batch_size=16, evaluations_per_epoch=1)
    outputs = LiveTeacher(teacher, bf16=True)
    distil(student, data("class", teacher, 16), settings, outputs, tmp_path, seed=0, precision="bf16")
    assert seen == [True, True]


def test_embeddings_are_left_alone_on_request(tmp_path: Path):
    teacher = random_model("class", layers=2)
    student = make_student(teacher, 1)
    before = student.encoder.embeddings.word.weight.clone()
    settings = Distil(epochs=0.5, freeze_embeddings=True, learning_rate=1e-2, batch_size=16)
    distil(
        student, data("class", teacher), settings, LiveTeacher(teacher, bf16=False), tmp_path, seed=0, precision="no"
    )
    assert torch.equal(student.encoder.embeddings.word.weight, before)
    assert student.encoder.embeddings.word.weight.requires_grad
    assert not torch.equal(student.encoder.layers[0].ffn.up.weight, teacher.encoder.layers[1].ffn.up.weight)


@pytest.mark.parametrize("kind", ["class", "value", "tags", "span"])
def test_a_student_follows_rows_that_nobody_labelled(kind: str, tmp_path: Path):
    teacher, student = random_model(kind, layers=2), random_model(kind, layers=2, seed=1)
    labelled = random_rows(kind, 16, 1)
    rows = JoinedTokens([labelled, random_rows(kind, 48, 3, labelled=False)])
    judged = TrainingSet(rows, random_rows(kind, 16, 2), judge=ByAgreement(teacher, labelled))
    settings = Distil(
        epochs=6,
        batch_size=16,
        learning_rate=5e-3,
        evaluations_per_epoch=1,
        losses={"hard_labels": 0.1, "relations": 1},
    )
    outputs = LiveTeacher(teacher, bf16=False)
    result = distil(student, judged, settings, outputs, tmp_path, seed=0, precision="no")
    first, last = result.history[0], result.history[-1]
    assert last["soft_targets"] < first["soft_targets"]
    assert last["relations"] < first["relations"]
    assert all(np.isfinite(list(record.values())).all() for record in result.history)


def test_attention_of_a_pruned_student_is_refused_in_one_line(tmp_path: Path):
    teacher, student = random_model("class", layers=2), random_model("class", layers=2, seed=1, heads=[2, 0])
    settings = Distil(losses={"attention_maps": 1.0}, batch_size=16)
    outputs = LiveTeacher(teacher, bf16=False)
    with pytest.raises(
        UsageError, match="attention_maps needs equal heads: student layer 1 has 2, teacher layer 1 has 4"
    ):
        distil(student, data("class", teacher), settings, outputs, tmp_path, seed=0, precision="no")
    relations = Distil(losses={"relations": 1.0}, batch_size=16, epochs=0.25)
    distil(student, data("class", teacher), relations, outputs, tmp_path / "relations", seed=0, precision="no")


class Said(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


MASKING = Masking(4, np.arange(5, 50), np.arange(50) >= 5, np.zeros(50, dtype=bool), seed=1)


@pytest.mark.parametrize("predicts_words", [True, False])
def test_general_distillation_follows_what_the_teacher_offers(predicts_words: bool, tmp_path: Path):
    teacher = random_model("masked" if predicts_words else "class", layers=2)
    student = random_model("masked", layers=1, seed=1)
    settings = General(epochs=4, batch_size=16, learning_rate=5e-3, evaluations_per_epoch=1)
    said = Said()
    result = distil_general(
        student, teacher, data("class"), MASKING, settings, tmp_path, seed=0, progress=said, precision="no"
    )
    expected = {"masked_language", "cosine"}
    expected |= {"soft_targets"} if predicts_words else {"hidden_states", "relations"}
    assert set(result.history[0]) == {*expected, "step", "epoch", "dev_score", "dev_loss"}
    assert (result.metric, result.history[-1]["dev_score"]) == ("negative dev loss", -result.history[-1]["dev_loss"])
    assert result.history[-1]["dev_loss"] < result.history[0]["dev_loss"]
    assert any("predicts no masked words" in line for line in said.lines) != predicts_words


def test_a_head_that_was_drawn_predicts_nothing(tmp_path: Path):
    teacher, student = random_model("masked", drawn_head=True), random_model("masked", layers=1, seed=1)
    settings = General(epochs=0.25, batch_size=16)
    result = distil_general(student, teacher, data("class"), MASKING, settings, tmp_path, seed=0, precision="no")
    assert "soft_targets" not in result.history[0]
