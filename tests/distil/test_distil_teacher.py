from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from transformers import BertConfig, BertForSequenceClassification

from edgedistil.distil.teacher import open_teacher
from edgedistil.errors import UsageError


def checkpoint(folder: Path, **config: object) -> Path:
    """Writes a small fine-tuned BERT as transformers does."""
    sizes = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertForSequenceClassification(
        BertConfig(**sizes, intermediate_size=16, max_position_embeddings=20, **config)
    ).save_pretrained(folder)
    return folder


def line_of(folder: Path, labels: list[str]) -> str:
    with pytest.raises(UsageError) as caught:
        open_teacher(folder, labels, fine_tuned=True, seed=0)
    return caught.value.line()


def test_a_fine_tuned_teacher_is_taken_as_it_is(tmp_path: Path):
    folder = checkpoint(tmp_path, id2label={0: "bad", 1: "good"})
    plain = BertForSequenceClassification.from_pretrained(folder).eval()
    model = open_teacher(folder, ["bad", "good"], fine_tuned=True, seed=0)
    ids = torch.randint(1, 50, (2, 7))
    torch.testing.assert_close(model(ids, torch.ones_like(ids)).logits, plain(ids).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("labels", [["good", "bad"], ["bad", "fine"], ["bad", "good", "fine"]])
def test_other_labels_are_one_line(tmp_path: Path, labels: list[str]):
    assert line_of(checkpoint(tmp_path, id2label={0: "bad", 1: "good"}), labels) == (
        f"{tmp_path}: the teacher's labels are ['bad', 'good'], the data's {labels}; "
        "name the labels in the teacher's order: data.labels"
    )


@pytest.mark.parametrize("count", [2, 3])
def test_labels_that_nobody_named_are_checked_by_their_number(tmp_path: Path, count: int):
    folder = checkpoint(tmp_path, num_labels=count)
    names = ["bad", "fine", "good", "great"]
    assert open_teacher(folder, names[:count], fine_tuned=True, seed=0).config.id2label[count - 1] == names[count - 1]
    theirs = [f"LABEL_{number}" for number in range(count)]
    for wrong in (names[: count - 1], names[: count + 1]):
        assert line_of(folder, wrong).startswith(f"{tmp_path}: the teacher's labels are {theirs}, the data's {wrong};")


def test_labels_are_put_in_the_order_of_their_numbers(tmp_path: Path):
    names = [f"class {number}" for number in range(11)]
    folder = checkpoint(tmp_path, id2label=dict(enumerate(names)))
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = dict(sorted(config["id2label"].items()))
    (folder / "config.json").write_text(json.dumps(config))
    assert open_teacher(folder, names, fine_tuned=True, seed=0).config.num_labels == 11


def test_a_teacher_without_a_classifier_is_one_line(world):
    assert line_of(world.untrained, ["negative", "positive"]) == (
        f"{world.untrained}: the teacher has no classifier; "
        "add teacher.fine_tune to the recipe, or name a fine-tuned checkpoint"
    )


def test_a_fresh_classifier_follows_from_the_seed(world):
    def drawn(seed: int) -> torch.Tensor:
        return open_teacher(world.untrained, ["negative", "positive"], fine_tuned=False, seed=seed).classifier.weight

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def other_task(folder: Path, name: str, **config: object) -> Path:
    """Writes a small BERT with another of transformers' heads."""
    sizes = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    made = BertConfig(**sizes, intermediate_size=16, max_position_embeddings=20, **config)
    getattr(transformers, name)(made).save_pretrained(folder)
    return folder


ONE_VALUE = {"num_labels": 1}
SEQUENCE, TOKEN, SPAN = "BertForSequenceClassification", "BertForTokenClassification", "BertForQuestionAnswering"


@pytest.mark.parametrize(
    ("theirs", "config", "wanted", "line"),
    [
        (TOKEN, {}, {}, "a model that classifies tokens, and the task needs one that classifies texts"),
        (SEQUENCE, {}, {"head": "token"}, "a model that classifies texts, and the task needs one that classifies tok"),
        (SPAN, {}, {"head": "token"}, "a model that answers questions, and the task needs one that classifies tokens"),
        (SEQUENCE, {}, {"head": "span"}, "a model that classifies texts, and the task needs one that answers quest"),
        (SEQUENCE, ONE_VALUE, {}, "a model that gives a text a value, and the task needs one that classifies texts"),
        (SEQUENCE, {}, {"problem": "regression"}, "a model that classifies texts, and the task needs one that gives"),
        ("BertForMaskedLM", {}, {}, "a model that fills in masked words, and the task needs one that classifies texts"),
    ],
)
def test_another_tasks_teacher_is_one_line(tmp_path: Path, theirs: str, config: dict, wanted: dict, line: str):
    folder = other_task(tmp_path, theirs, **config)
    with pytest.raises(UsageError) as caught:
        open_teacher(folder, ["no", "yes"], fine_tuned=True, seed=0, **wanted)
    assert caught.value.line().startswith(f"{tmp_path}: the teacher is {line}")
    assert caught.value.line().endswith(
        "; add teacher.fine_tune to the recipe, or name a checkpoint fine-tuned for this task"
    )
    assert open_teacher(folder, ["no"], fine_tuned=False, seed=0, **wanted).config.head == wanted.get(
        "head", "sequence"
    )


@pytest.mark.parametrize(
    ("theirs", "config", "labels", "wanted"),
    [
        (TOKEN, {"id2label": {0: "O", 1: "B"}}, ["O", "B"], {"head": "token"}),
        (SPAN, {}, ["start", "end"], {"head": "span"}),
        (SEQUENCE, ONE_VALUE, ["score"], {"problem": "regression"}),
        ("BertForMaskedLM", {}, None, {"head": "masked-lm"}),
        ("BertModel", {}, None, {"head": "masked-lm"}),
    ],
)
def test_each_tasks_teacher_is_taken_as_it_is(tmp_path: Path, theirs: str, config: dict, labels: list, wanted: dict):
    folder = other_task(tmp_path, theirs, **config)
    model = open_teacher(folder, labels, fine_tuned=True, seed=0, separator_token_id=3, **wanted)
    assert (model.config.head, model.config.problem) == (
        wanted.get("head", "sequence"),
        wanted.get("problem", "classification"),
    )
    assert model.config.separator_token_id == 3
    assert model.config.drawn_head == (theirs == "BertModel")


def test_tags_in_another_order_are_one_line(tmp_path: Path):
    folder = other_task(tmp_path, TOKEN, id2label={0: "O", 1: "B"})
    with pytest.raises(
        UsageError, match=r"the teacher's labels are \['O', 'B'\], the data's \['B', 'O'\]; name the labels"
    ):
        open_teacher(folder, ["B", "O"], fine_tuned=True, seed=0, head="token")


def test_a_fine_tuned_head_of_other_layers_is_one_line(tmp_path: Path):
    folder = other_task(tmp_path, TOKEN)
    with pytest.raises(UsageError) as caught:
        open_teacher(folder, ["O", "B"], fine_tuned=True, seed=0, head="token", joined_layers=2)
    assert caught.value.line() == (
        f"{tmp_path}: the teacher's head reads 1 layers, the recipe's 2; "
        "add teacher.fine_tune to the recipe, or name a checkpoint fine-tuned for this task"
    )
