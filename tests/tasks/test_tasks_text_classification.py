from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.tasks import get_task, score

TASK = get_task("text-classification")


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(UsageError) as caught:
        get_task("text-clasification")
    assert caught.value.line() == "unknown task 'text-clasification'; did you mean 'text-classification'?"


def test_labels_are_found_in_order():
    assert TASK.find_labels(["b", "a", "b"], "x") == ["a", "b"]
    assert TASK.find_labels(["10", "9", "-1"], "x") == ["-1", "9", "10"]
    assert TASK.find_labels(["10", "9", "b"], "x") == ["10", "9", "b"]
    assert TASK.find_labels(["a", "", "b"], "x") == ["a", "b"]


def test_no_label_at_all_is_one_line():
    with pytest.raises(UsageError, match=r"x: no row has a label; give the rows labels, or correct data\.label"):
        TASK.find_labels(["", ""], "x")


@given(st.lists(st.text(alphabet="0123456789-²ab", max_size=3), max_size=12))
def test_labels_found_encode_the_column_they_were_found_in(values: list[str]):
    with contextlib.suppress(EdgeDistilError):
        labels = TASK.find_labels(values, "x")
        assert sorted(labels) == sorted({value for value in values if value})
        filled = [value for value in values if value]
        assert [labels[number] for number in TASK.encode(filled, labels, "x:{}".format)] == filled


def test_a_number_stands_for_a_name_unless_the_names_are_numbers():
    assert TASK.encode(["1", "bad", "0"], ["bad", "good"], "x:{}".format) == [1, 0, 0]
    assert TASK.encode(["2", "1"], ["1", "2"], "x:{}".format) == [1, 0]
    for value, labels in (("0", ["1", "2"]), ("0", ["-1", "1"]), ("2", ["bad", "good"]), ("-1", ["bad", "good"])):
        with pytest.raises(UsageError, match=f"x:8: label '{value}' is not one of the labels"):
            TASK.encode([labels[0], value], labels, lambda row: f"x:{row + 7}")


def test_a_whole_number_in_floating_point_is_the_number():
    assert TASK.find_labels(["1.0", "0.0", "10"], "x") == ["0", "1", "10"]
    assert TASK.find_labels(["2.0", "2.1"], "x") == ["2.0", "2.1"]
    assert TASK.encode(["1.0", "0", "0.0"], ["bad", "good"], "x:{}".format) == [1, 0, 0]
    assert TASK.encode(["2.0", "1"], ["1", "2"], "x:{}".format) == [1, 0]
    assert TASK.encode(["1", "2.0"], ["2.0", "1.0"], "x:{}".format) == [1, 0]
    values = [1.0, None, float("nan"), 2.5]
    assert TASK.read_labels(values, "x:{}".format) == ["1.0", "", "", "2.5"]


LOGITS = st.lists(st.lists(st.floats(-50, 50), min_size=3, max_size=3), min_size=1, max_size=6).map(np.array)


@given(LOGITS)
def test_probabilities_are_the_softmax(logits: np.ndarray):
    np.testing.assert_allclose(TASK.probabilities(logits), softmax(logits, axis=-1), rtol=1e-9, atol=1e-15)


def test_probabilities_of_large_logits_do_not_overflow():
    np.testing.assert_allclose(TASK.probabilities(np.array([[1e4, 0.0]])), [[1.0, 0.0]])


def test_the_share_of_right_ones_is_the_score():
    assert score(TASK, [1, 0, 1, 0], [1, 0, 0, 0]) == 0.75


def test_predictions_and_references_go_by_the_examples_ids():
    tokens = EvaluationSet([2, 3, 2, 3], [0, 2, 4], [1, 0], ["a", "b"])
    assert TASK.predictions([0, 1], tokens, None, ["x", "y"]) == {"a": 0, "b": 1}
    assert TASK.references(tokens, None, ["x", "y"]) == {"a": 1, "b": 0}
