from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from edgedistil.distil.student import make_student
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


def test_a_student_starts_from_the_teachers_layers(teacher):
    student = make_student(teacher, 1)
    assert (student.config.heads, student.config.ffn) == ([4], [128])
    assert (student.config.type_vocab_size, student.config.classifier_activation) == (0, "relu")
    for name, value in student.encoder.layers[0].state_dict().items():
        assert torch.equal(value, teacher.encoder.layers[1].state_dict()[name])
    assert torch.equal(student.encoder.embeddings.word.weight, teacher.encoder.embeddings.word.weight)


def test_a_student_as_deep_as_the_teacher_has_its_hidden_states(teacher):
    ids = torch.randint(5, 50, (2, 9))
    mask = torch.ones_like(ids)
    theirs = teacher(ids, mask, output_hidden_states=True).hidden_states
    ours = make_student(teacher, 2)(ids, mask, output_hidden_states=True).hidden_states
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_student_deeper_than_the_teacher_is_one_line(teacher):
    with pytest.raises(UsageError) as caught:
        make_student(teacher, 3)
    assert caught.value.line() == ("a student of 3 layers cannot be taken from a teacher of 2; choose 1 to 2 layers")
