from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistil.errors import UsageError
from edgedistil.layers import STRATEGIES, alternate_layers, initial_layers, mapped_states


@pytest.mark.parametrize(
    ("teacher", "student", "layers"),
    [
        (12, 6, [1, 3, 5, 7, 9, 11]),
        (6, 3, [1, 3, 5]),
        (12, 4, [2, 5, 8, 11]),
        (12, 1, [11]),
        (5, 3, [0, 2, 4]),
        (4, 4, [0, 1, 2, 3]),
    ],
)
def test_layers_are_taken_alternately_and_the_last_is_among_them(teacher: int, student: int, layers: list[int]):
    assert alternate_layers(teacher, student) == layers


PAIRS = st.integers(1, 96).flatmap(lambda teacher: st.tuples(st.just(teacher), st.integers(1, teacher)))


@given(PAIRS)
def test_layers_rise_evenly_within_the_teacher(pair: tuple[int, int]):
    teacher, student = pair
    layers = alternate_layers(teacher, student)
    assert len(layers) == student
    assert layers[-1] == teacher - 1
    assert layers[0] >= 0
    steps = [after - before for before, after in itertools.pairwise(layers)]
    assert all(step >= 1 for step in steps)
    assert max(steps, default=1) - min(steps, default=1) <= 1


@given(PAIRS)
def test_each_state_follows_the_layer_it_was_made_from(pair: tuple[int, int]):
    students, teachers = mapped_states(*pair)
    assert students == tuple(range(1, pair[1] + 1))
    assert teachers == tuple(layer + 1 for layer in alternate_layers(*pair))
    assert teachers[-1] == pair[0]


@pytest.mark.parametrize("student", [0, -1, 7])
def test_a_student_that_cannot_be_taken_is_one_line(student: int):
    with pytest.raises(UsageError) as caught:
        mapped_states(6, student)
    assert caught.value.line() == (
        f"a student of {student} layers cannot be taken from a teacher of 6; choose 1 to 6 layers"
    )


@pytest.mark.parametrize(
    ("strategy", "layers"),
    [
        ("alternate", [1, 3, 5, 7, 9, 11]),
        ("skip", [0, 2, 4, 6, 8, 10]),
        ("last", [6, 7, 8, 9, 10, 11]),
        ("first", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_where_a_student_starts(strategy: str, layers: list[int]) -> None:
    assert initial_layers(strategy, 12, 6) == layers


@given(st.sampled_from(sorted(STRATEGIES)), st.integers(1, 24), st.data())
def test_every_strategy_names_other_layers_in_order(strategy: str, teacher: int, data: st.DataObject) -> None:
    student = data.draw(st.integers(1, teacher))
    layers = initial_layers(strategy, teacher, student)
    assert len(layers) == student
    assert layers == sorted(set(layers))
    assert set(layers) <= set(range(teacher))


def test_a_strategy_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="no way to choose layers is called 'frist'; did you mean 'first'"):
        initial_layers("frist", 6, 3)
