from __future__ import annotations

import pytest
import torch

from edgedistil.distil.student import make_student
from edgedistil.errors import UsageError
from edgedistil.models import MODELS, EdgeBertConfig, EdgeBertHeadModel, is_uniform, save_plain

SIZES = {"vocab_size": 60, "hidden_size": 32, "head_size": 8, "max_position_embeddings": 24, "type_vocab_size": 2}


def wide(head: str = "sequence", layers: int = 4, **more: object) -> EdgeBertHeadModel:
    """Returns a random teacher in BERT's form."""
    torch.manual_seed(0)
    shape = {"heads": [4] * layers, "ffn": [64] * layers, "classifier_activation": "tanh", "initializer_range": 0.2}
    return MODELS[head](EdgeBertConfig(**SIZES, **shape, head=head, **more)).eval()


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


@pytest.mark.parametrize(
    ("choose", "layers"), [("alternate", [1, 3]), ("skip", [0, 2]), ("last", [2, 3]), ("first", [0, 1])]
)
def test_which_layers_it_starts_from_can_be_chosen(choose: str, layers: list[int]):
    teacher = wide()
    student = make_student(teacher, 2, choose=choose)
    for made, index in zip(student.encoder.layers, layers, strict=True):
        assert torch.equal(made.ffn.up.weight, teacher.encoder.layers[index].ffn.up.weight)


@pytest.mark.parametrize("init", ["projected", "fresh"])
@pytest.mark.parametrize("head", list(MODELS))
def test_a_narrower_student_is_as_asked_and_plain(head: str, init: str, tmp_path):
    teacher = wide(head)
    before = torch.get_rng_state()
    made = [make_student(teacher, 2, hidden_size=24, heads=3, ffn=40, init=init, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(before, torch.get_rng_state())
    config = made[0].config
    assert (config.hidden_size, config.head_size, config.heads, config.ffn) == (24, 8, [3, 3], [40, 40])
    assert is_uniform(config)
    save_plain(made[0], tmp_path)
    ids = torch.randint(5, 50, (2, 9))
    one, same, other = (model(ids, torch.ones_like(ids)).logits for model in made)
    assert torch.equal(one, same)
    assert torch.equal(one, other) == (init == "projected"), "only what is drawn follows the seed"


def test_sizes_that_nobody_names_follow_from_the_width():
    config = make_student(wide(), 2, hidden_size=24, init="projected").config
    assert (config.heads, config.head_size, config.ffn) == ([4, 4], 6, [48, 48])


def test_a_projected_student_looks_at_the_text_it_is_given():
    ids = torch.arange(5, 59).view(6, 9)
    text = [(ids, torch.ones_like(ids))]
    with_text, without = (
        make_student(wide(), 2, hidden_size=24, heads=4, init="projected", text=given) for given in (text, None)
    )
    one, other = (model.encoder.embeddings.word.weight for model in (with_text, without))
    assert not torch.allclose(one, other)


def test_a_student_may_join_more_layers_than_its_teacher():
    student = make_student(wide("token"), 3, joined_layers=2)
    assert student.classifier.weight.shape == (2, 64)
    assert make_student(wide("token", joined_layers=3), 2, joined_layers=2).config.joined_layers == 2


def test_the_head_of_a_student_for_masked_words_is_its_own():
    teacher = wide("masked-lm", drawn_head=True)
    student = make_student(teacher, 2)
    assert (teacher.config.drawn_head, student.config.drawn_head) == (True, False)


@pytest.mark.parametrize(
    ("layers", "wanted", "line"),
    [
        (5, {}, "a student of 5 layers cannot be taken from a teacher of 4; choose 1 to 4 layers"),
        (2, {"init": "project"}, "student.init: a student cannot start 'project'; did you mean 'projected'?"),
        (2, {"choose": "lest"}, "no way to choose layers is called 'lest'; did you mean 'last'?"),
        (
            2,
            {"hidden_size": 24, "init": "teacher"},
            "student.init: a student of other widths than the teacher's cannot copy its weights; set it to projected,",
        ),
        (2, {"heads": 5}, "student.heads: a width of 32 does not divide into 5 heads; choose a number that divides it"),
        (
            2,
            {"hidden_size": 64, "init": "projected"},
            "student.hidden_size: a student 64 wide cannot start from a teacher 32 wide; choose at most 32, or set",
        ),
    ],
)
def test_a_student_that_cannot_be_is_one_line(layers: int, wanted: dict, line: str):
    with pytest.raises(UsageError) as caught:
        make_student(wide(), layers, **wanted)
    assert caught.value.line().startswith(line)
