from __future__ import annotations

import subprocess
import sys

import pytest

from edgedistil.distil.following import Following, pair_layers, teacher_states
from edgedistil.errors import UsageError
from edgedistil.recipe.schema import Distil


@pytest.mark.parametrize(
    ("layer_map", "pairs"),
    [
        ("alternate", [(1, 2), (2, 4), (3, 6), (4, 8), (5, 10), (6, 12)]),
        # PKD's own example: {2, 4, 6, 8, 10} and {7, 8, 9, 10, 11} for a student of 6 layers.
        ("skip", [(1, 2), (2, 4), (3, 6), (4, 8), (5, 10)]),
        ("last", [(1, 7), (2, 8), (3, 9), (4, 10), (5, 11)]),
        ([(0, 0), (6, 12)], [(0, 0), (6, 12)]),
    ],
)
def test_layers_are_paired_as_the_map_says(layer_map, pairs: list[tuple[int, int]]):
    assert list(pair_layers(layer_map, 12, 6)) == pairs


@pytest.mark.parametrize(
    ("layer_map", "student", "line"),
    [
        (
            "skip",
            1,
            "distil.layer_map 'skip' leaves out the student's last layer, and it has but one; choose",
        ),
        ([(7, 2)], 6, "distil.layer_map pairs student layer 7 with teacher layer 2; the student has layers 1 to 6"),
        ([(1, 13)], 6, "distil.layer_map pairs student layer 1 with teacher layer 13; the student has layers 1 to 6"),
        ([(-1, 2)], 6, "distil.layer_map pairs student layer -1 with teacher layer 2; the student has layers 1 to 6"),
        ([], 6, "distil.layer_map pairs nothing; name pairs such as"),
    ],
)
def test_a_map_that_does_not_fit_is_one_line(layer_map, student: int, line: str):
    with pytest.raises(UsageError) as caught:
        pair_layers(layer_map, 12, student)
    assert caught.value.line().startswith(line)


@pytest.mark.parametrize(
    ("losses", "states"),
    [
        ({"hidden_states": 1}, (4, 8, 12)),
        ({"hidden_states": 0}, ()),
        ({"hidden_states": 0, "cosine": 1}, (12,)),
        ({"hidden_states": 0, "relations": 1}, (11,)),
        ({"hidden_states": 1, "attention_maps": 1}, (3, 4, 7, 8, 11, 12)),
    ],
)
def test_a_cache_holds_what_the_losses_look_at(losses: dict[str, float], states: tuple[int, ...]):
    assert teacher_states(Distil(losses=losses), 12, 3) == states


def test_a_cache_serves_every_stage():
    stages = [{"losses": {"relations": 1}, "epochs": 1}, {"losses": {"soft_targets": 1, "cosine": 1}, "epochs": 1}]
    assert teacher_states(Distil(stages=stages, relation_layer=9), 12, 3) == (8, 12)


def test_a_pruned_student_relates_its_last_layer_with_heads():
    following = Following.of(Distil(losses={"relations": 1}), 12, [12, 3, 0])
    assert following.projections(["relations"]) == ((2, 12),)


def test_a_relation_layer_must_exist():
    with pytest.raises(UsageError) as caught:
        Following.of(Distil(relation_layer=13), 12, [12] * 6)
    assert caught.value.line() == (
        "distil.relation_layer is 13, and the teacher has 12 layers; name a layer from 1 to 12"
    )


def test_a_message_names_the_section_that_it_is_about():
    with pytest.raises(UsageError, match=r"^prune\.recover\.layer_map pairs nothing"):
        teacher_states(Distil(layer_map=[]), 12, 6, "prune.recover")
    with pytest.raises(UsageError, match=r"^prune\.recover\.relation_layer is 13"):
        teacher_states(Distil(relation_layer=13), 12, 6, "prune.recover")


def test_attention_needs_a_pair_of_layers_to_compare():
    with pytest.raises(UsageError) as caught:
        Following.of(Distil(losses={"attention_maps": 1}, layer_map=[(0, 0)]), 12, [12] * 6)
    assert caught.value.line() == (
        "attention_maps compares layers, and distil.layer_map pairs none but the embeddings; "
        "pair two layers, such as [1, 2], or set its weight to 0"
    )
    assert Following.of(Distil(layer_map=[(0, 0)]), 12, [12] * 6).pairs == ((0, 0),)


def test_a_plan_is_made_without_torch():
    code = "import sys; sys.modules['torch'] = None; import edgedistil.distil.following"
    subprocess.run([sys.executable, "-c", code], check=True)
