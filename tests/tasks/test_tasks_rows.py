"""Rows as people write them: what they become, and one line for each that cannot be used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgedistil.errors import UsageError
from edgedistil.recipe.schema import Data
from edgedistil.tasks import get_task

TAGS = ["O", "B-PER", "I-PER"]
FRANCE = "Paris is in France."


def read(task: str, labels: list[str], **columns: list) -> list:
    return get_task(task).examples(columns, labels, lambda row: f"a.tsv:{row + 5}")


def answers(text: str | None, start: float) -> dict[str, list]:
    return {"text": [text], "answer_start": [start]}


def test_a_pair_has_two_sides_and_an_id_of_both():
    (one,) = read("pair-classification", ["no", "yes"], text=["a"], pair=["b"], label=["yes"])
    (other,) = read("pair-classification", ["no", "yes"], text=["b"], pair=["a"], label=["1"])
    assert (one.input, one.target, other.target) == (("a", "b"), 1, 1)
    assert one.name != other.name


def test_a_score_may_be_of_a_text_or_of_a_pair():
    assert [one.target for one in read("regression", ["score"], text=["a", "b"], label=["5.000", 3])] == [5.0, 3.0]
    assert read("regression", ["score"], text=["a"], pair=["b"], label=[0.5])[0].input == ("a", "b")


def test_offsets_of_characters_become_spans():
    rows = read("token-classification", ["O", "I-toxic"], text=["you fool 😀", "fine"], spans=["[4, 5, 6,7, 9]", []])
    assert [one.reference for one in rows] == [[[4, 8, "toxic"], [9, 10, "toxic"]], []]


def test_tokens_are_joined_and_their_tags_become_spans():
    columns: dict[str, list] = {"tokens": [["Ann", "Lee", "and", "Bo"]], "tags": [["B-PER", "I-PER", "O", "B-PER"]]}
    (one,) = read("token-classification", TAGS, **columns)
    assert one.first == "Ann Lee and Bo"
    assert one.reference == [[0, 7, "PER"], [12, 14, "PER"]]
    assert read("token-classification", TAGS, tokens=columns["tokens"], tags=[[1, 2, 0, 1]]) == [one]


def test_answers_are_read_in_either_layout():
    one = read("question-answering", [], question=["Where?"], context=[FRANCE], answers=[answers("France", 12)])
    two = read(
        "question-answering",
        [],
        question=["Where?"],
        context=[FRANCE],
        answers=[[{"text": "France", "answer_start": 12}, {"text": "in France", "answer_start": 9}]],
    )
    three = read(
        "question-answering", [], question=["?"], context=[FRANCE], answers=[json.dumps(answers("France", 12.0))]
    )
    assert one[0].target == two[0].target == three[0].target == (12, 18)
    assert two[0].reference == ["France", "in France"]


def test_labels_are_the_recipes_or_those_found():
    def chosen(task: str, found: dict[str, list], **keys: Any) -> list[str]:
        return get_task(task).choose_labels(Data(train="x", **keys), lambda name: iter(found[name]), "x")

    assert chosen("pair-classification", {"label": ["b", "a"]}) == ["a", "b"]
    assert chosen("regression", {}) == ["score"]
    assert chosen("token-classification", {}, spans="spans", labels=["toxic"]) == ["O", "I-toxic"]
    assert chosen("token-classification", {"tags": [["O", "I-PER"], ["B-LOC"]]}) == [
        "O",
        "B-LOC",
        "I-LOC",
        "B-PER",
        "I-PER",
    ]
    assert chosen("question-answering", {}) == ["start", "end"]


@pytest.mark.parametrize(
    ("task", "found", "keys", "line"),
    [
        ("regression", {}, {"labels": ["a", "b"]}, "x: data.labels names 2 labels and a regression has one score"),
        (
            "token-classification",
            {},
            {"spans": "s", "labels": ["a", "b"]},
            "x: data.labels names 2 labels and data.spans",
        ),
        ("text-classification", {}, {"labels": ["a"]}, "x: data.labels names one label, 'a': one class is nothing to"),
        ("text-classification", {"label": [["a"], ["b"]]}, {}, "x: no row has a label; give the rows labels"),
        ("token-classification", {"tags": [["O"]]}, {}, "x: no tag marks an entity; give lists of BIO tags"),
        ("token-classification", {"tags": [3, "B-PER"]}, {}, "x: no tag marks an entity; give lists of BIO tags"),
        ("token-classification", {"tags": [[0, 1]]}, {}, "x: no tag marks an entity; say in data.labels what the num"),
        ("token-classification", {}, {"labels": ["O", "B-PER"]}, "x: data.labels are no set of tags: I-PER is missing"),
        ("token-classification", {}, {"labels": ["O", "PER"]}, "x: data.labels are no set of tags: 'PER' is not BIO"),
        ("token-classification", {}, {"labels": ["B-A", "I-A"]}, "x: data.labels are no set of tags: O is missing"),
        ("question-answering", {}, {"labels": ["a"]}, "x: data.labels has no meaning for question-answering; leave it"),
    ],
)
def test_labels_that_do_not_fit_the_task_are_one_line(task: str, found: dict, keys: dict, line: str):
    with pytest.raises(UsageError) as caught:
        get_task(task).choose_labels(Data(train="x", **keys), lambda name: iter(found[name]), "x")
    assert caught.value.line().startswith(line)


PAIR = {"text": ["a", "c"], "pair": ["b", "d"], "label": ["yes", "no"]}
QUESTION = {"question": ["Where?"], "context": [FRANCE], "answers": [answers("France", 12)]}


@pytest.mark.parametrize(
    ("task", "columns", "line"),
    [
        ("pair-classification", PAIR | {"pair": ["b", " "]}, "a.tsv:6: the pair's second text is empty; fill the row"),
        ("pair-classification", PAIR | {"text": [None, "c"]}, "a.tsv:5: the pair's first text is empty; fill the row"),
        ("pair-classification", PAIR | {"label": ["yes", "mayb"]}, "a.tsv:6: label 'mayb' is not one of the labels"),
        (
            "pair-classification",
            PAIR | {"text": ["a", ["c"]]},
            "a.tsv:6: the pair's first text ['c'] is no single text",
        ),
        (
            "text-classification",
            {"text": [b"a"], "label": ["no"]},
            "a.tsv:5: the text b'a' is no single text; give each",
        ),
        ("text-classification", {"text": ["a"], "label": [b"no"]}, "a.tsv:5: the label b'no' is no single value; give"),
        (
            "pair-classification",
            PAIR | {"label": ["yes", [0, 1]]},
            "a.tsv:6: the label [0, 1] is no single value; give",
        ),
        (
            "regression",
            PAIR | {"label": ["1", "high"]},
            "a.tsv:6: the score 'high' is no number; give the row a finite",
        ),
        ("regression", PAIR | {"label": ["nan", "1"]}, "a.tsv:5: the score 'nan' is no number"),
        (
            "regression",
            PAIR | {"label": ["1", "-1e39"]},
            "a.tsv:6: the score -1e+39 is beyond what 32 bits hold; scale",
        ),
        ("regression", PAIR | {"label": ["1", None]}, "a.tsv:6: the score '' is no number"),
        ("regression", PAIR | {"label": ["1", "2"], "pair": ["", "d"]}, "a.tsv:5: the pair's second text is empty"),
        (
            "token-classification",
            {"text": ["abc"], "spans": ["[1, 3]"]},
            "a.tsv:5: a span holds character 3, and the text",
        ),
        ("token-classification", {"text": ["abc"], "spans": [[-1]]}, "a.tsv:5: a span holds character -1"),
        (
            "token-classification",
            {"text": ["abc"], "spans": ["[1, "]},
            "a.tsv:5: the spans '[1, ' are no list of charac",
        ),
        (
            "token-classification",
            {"text": ["abc"], "spans": ["[1.5]"]},
            "a.tsv:5: the spans '[1.5]' are no list of char",
        ),
        (
            "token-classification",
            {"text": ["abc"], "spans": [None]},
            "a.tsv:5: the spans None are no list of character offsets",
        ),
        ("token-classification", {"tokens": [["a", "b"]], "tags": [["O"]]}, "a.tsv:5: 2 tokens and 1 tags; give every"),
        (
            "token-classification",
            {"tokens": [["a"]], "tags": [["PER"]]},
            "a.tsv:5: tag 'PER' is not BIO; give tags such",
        ),
        (
            "token-classification",
            {"tokens": [["a"]], "tags": [["B-LOC"]]},
            "a.tsv:5: tag 'B-LOC' is not one of the tags",
        ),
        (
            "token-classification",
            {"tokens": [["a"]], "tags": [[3]]},
            "a.tsv:5: tag '3' is not one of the tags (O, B-PER, I-PER); their numbers are 0 to 2",
        ),
        (
            "token-classification",
            {"tokens": [["a"]], "tags": [[None]]},
            "a.tsv:5: tag 'None' is not one of the tags (O, B-PER, I-PER); their numbers are 0 to 2",
        ),
        (
            "token-classification",
            {"tokens": [["a", ""]], "tags": [["O", "O"]]},
            "a.tsv:5: a token is empty or there is",
        ),
        (
            "token-classification",
            {"tokens": ["a b"], "tags": [["O"]]},
            "a.tsv:5: its tokens are no list; give rows such",
        ),
        (
            "question-answering",
            QUESTION | {"answers": [answers("France", 11)]},
            "a.tsv:5: the answer 'France' is not at character 11 of its context; it stands at 12: correct answer_start",
        ),
        (
            "question-answering",
            QUESTION | {"answers": [answers("Spain", 12)]},
            "a.tsv:5: the answer 'Spain' is not at character 12 of its context; correct the answer or remove the row",
        ),
        (
            "question-answering",
            QUESTION | {"answers": [answers("x", 99)]},
            "a.tsv:5: the answer 'x' is not at character",
        ),
        (
            "question-answering",
            QUESTION | {"answers": [{"text": []}]},
            "a.tsv:5: the answers {'text': []} cannot be read",
        ),
        (
            "question-answering",
            QUESTION | {"answers": [answers("France", 12.5)]},
            "a.tsv:5: the answers {'text': ['France'], 'answer_start': [12.5]} cannot be read",
        ),
        (
            "question-answering",
            {"question": ["?"], "context": ["None"], "answers": [answers(None, 0)]},
            "a.tsv:5: the answers {'text': [None], 'answer_start': [0]} cannot be read",
        ),
        ("question-answering", QUESTION | {"answers": ["France"]}, "a.tsv:5: the answers 'France' cannot be read"),
        ("question-answering", QUESTION | {"answers": [""]}, "a.tsv:5: the question has no answer; remove it"),
        ("question-answering", QUESTION | {"answers": [[]]}, "a.tsv:5: the question has no answer; remove it"),
        ("question-answering", QUESTION | {"question": [" "]}, "a.tsv:5: the question is empty; fill the row"),
        ("question-answering", QUESTION | {"context": [None]}, "a.tsv:5: the context is empty; fill the row"),
    ],
)
def test_a_row_that_cannot_be_used_is_one_line(task: str, columns: dict[str, list], line: str):
    labels = {
        "text-classification": ["no"],
        "pair-classification": ["no", "yes"],
        "token-classification": ["O", "I-toxic"],
    }.get(task, [])
    with pytest.raises(UsageError) as caught:
        read(task, TAGS if "tokens" in columns else labels, **columns)
    assert caught.value.line().startswith(line)
    assert "\n" not in caught.value.line()


@pytest.mark.parametrize(
    ("task", "values", "line"),
    [
        ("regression", [2.0, 2.0], "dev.tsv: all 2 rows have one score (2); a correlation with it would mean nothing"),
        ("token-classification", [0.0, 0.0], "dev.tsv: no span in 2 rows; a score on it would mean nothing"),
        ("question-answering", [], "dev.tsv: there are no questions; name a file with questions"),
        ("pair-classification", [1.0, 1.0], "dev.tsv: only one class in 2 rows (b)"),
    ],
)
def test_a_split_that_says_nothing_is_one_line(task: str, values: list[float], line: str):
    with pytest.raises(UsageError) as caught:
        get_task(task).check(values, ["a", "b"], "dev.tsv")
    assert caught.value.line().startswith(line)
