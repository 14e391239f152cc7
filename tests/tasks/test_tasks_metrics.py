"""Metrics held against well-kept libraries, the official scripts' rules and examples worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from transformers.data.metrics import squad_metrics

from edgedistil.tasks import TASKS, all_scores, get_task, score
from edgedistil.tasks.question_answering import normalise, word_f1
from edgedistil.tasks.regression import Regression
from edgedistil.tasks.spans import read_tags

VALUES = st.lists(st.tuples(st.floats(-9, 9, width=16), st.floats(-9, 9, width=16)), min_size=3, max_size=20)


@given(VALUES)
def test_pearson_is_scipys(pairs: list[tuple[float, float]]):
    one, two = (np.array(side) for side in zip(*pairs, strict=True))
    assume(one.std() > 0.1 and two.std() > 0.1)
    assert score(get_task("regression"), one, two) == pytest.approx(stats.pearsonr(one, two).statistic, abs=1e-9)


def test_a_score_that_does_not_vary_correlates_with_nothing():
    assert score(get_task("regression"), [0.1] * 7, [1.0, 2.0, 3.0, 1.0, 4.0, 2.0, 1.0]) == 0.0
    assert Regression().spearman([1, 2, 3], [1, 4, 9]) == pytest.approx(1.0)


def test_metrics_of_resamples_are_those_of_the_rows_drawn():
    generator = np.random.default_rng(0)
    one, two = generator.normal(size=(2, 30))
    task = get_task("regression")
    weights = generator.multinomial(30, np.full(30, 1 / 30), size=4)
    found = task.metrics(weights @ task.statistics(one, two))["pearson"]
    for row, value in zip(weights, found, strict=True):
        assert value == pytest.approx(stats.pearsonr(np.repeat(one, row), np.repeat(two, row)).statistic)


ANSWER = st.lists(st.sampled_from(["The", "a", "cat", "Cat,", "sat!", "on", "an", "mat.", "–", "U.S."]), max_size=6)


@given(ANSWER, ANSWER)
def test_answers_are_compared_as_squads_script_compares_them(one: list[str], two: list[str]):
    predicted, right = " ".join(one), " ".join(two)
    assert normalise(predicted) == squad_metrics.normalize_answer(predicted)
    # The later script, for questions without an answer, gives 1 where both sides are empty; that of v1.1 gives 0.
    assume(normalise(predicted) and normalise(right))
    assert word_f1(predicted, right) == pytest.approx(squad_metrics.compute_f1(right, predicted))


def test_the_best_of_several_answers_counts():
    task = get_task("question-answering")
    found = all_scores(
        task, ["the Denver Broncos", "in 1066"], [["Carolina", "Denver Broncos"], ["1067", "in the year 1066"]]
    )
    assert found == {"F1": pytest.approx((1 + 0.8) / 2), "EM": 0.5}


@pytest.mark.parametrize(
    ("predicted", "right", "f1"),
    [
        ([], [], 1.0),
        ([], [[0, 3, "toxic"]], 0.0),
        ([[0, 3, "toxic"]], [], 0.0),
        ([[0, 4, "toxic"]], [[0, 4, "toxic"]], 1.0),
        # 4 characters marked, 6 right, 3 of them the same: 2 x 3 / 10.
        ([[1, 5, "toxic"]], [[2, 8, "toxic"]], 0.6),
        ([[0, 2, "toxic"], [6, 8, "toxic"]], [[0, 8, "toxic"]], 2 * 4 / 12),
    ],
)
def test_the_f1_of_a_posts_characters(predicted: list, right: list, f1: float):
    assert score(get_task("token-classification"), [predicted], [right]) == pytest.approx(f1)


def test_a_posts_f1_weighs_as_much_as_any_others():
    predicted, right = [[], [[0, 100, "toxic"]]], [[], [[0, 50, "toxic"]]]
    assert score(get_task("token-classification"), predicted, right) == pytest.approx((1 + 2 / 3) / 2)


def test_entity_f1_of_the_example_in_seqevals_readme():
    # y_true and y_pred of github.com/chakki-works/seqeval, whose f1_score is 0.50.
    rows = [
        ("O O O B-MISC I-MISC I-MISC O", "O O B-MISC I-MISC I-MISC I-MISC O"),
        ("B-PER I-PER O", "B-PER I-PER O"),
    ]
    task = get_task("token-classification", ["O", "B-MISC", "I-MISC", "B-PER", "I-PER"])

    def spans(tags: str) -> list:
        words = tags.split()
        return read_tags(words, range(0, 2 * len(words), 2), range(1, 2 * len(words), 2))

    found = all_scores(task, [spans(two) for _, two in rows], [spans(one) for one, _ in rows])
    assert task.metric == "entity F1"
    assert next(iter(found)) == "entity F1"
    assert found["entity F1"] == pytest.approx(0.5)


def test_the_headline_stands_first_everywhere():
    right = {"class": 1, "value": 1.0, "tags": [[0, 1, "x"]], "span": ["x"]}
    for task in TASKS.values():
        predicted = "x" if task.kind == "span" else right[task.kind]
        assert next(iter(all_scores(task, [predicted], [right[task.kind]]))) == task.metric
