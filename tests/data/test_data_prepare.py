from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
import tiny

from edgedistil.data.prepare import PreparedData, prepare_data
from edgedistil.data.sources import Rows
from edgedistil.data.tokens import load_tokeniser, open_tokens
from edgedistil.errors import UsageError
from edgedistil.hashing import example_id
from edgedistil.recipe.schema import Data
from edgedistil.tasks import get_task

TASK = get_task("text-classification")


def split(rows: list[tuple[object, object]], where: str = "train.tsv", first_row: int = 2) -> Rows:
    """Returns (label, text) rows as a source gives them."""
    table = datasets.Dataset.from_dict({"text": [text for _, text in rows], "label": [label for label, _ in rows]})
    return Rows(table, where, first_row)


def prepare(teacher: Path, folder: Path, rows: dict[str, Rows], *, seed: int = 3, **keys: object) -> PreparedData:
    """Runs the data stage's work into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    data = Data(train="train.tsv", **keys)
    return prepare_data(rows, data, teacher, folder, task=TASK, max_length=12, seed=seed)


def line_of(teacher: Path, folder: Path, rows: dict[str, Rows], **keys: object) -> str:
    with pytest.raises(UsageError) as caught:
        prepare(teacher, folder, rows, **keys)
    return caught.value.line()


def ids_of(folder: Path, name: str) -> list[str]:
    return open_tokens(folder / name).ids.tolist()


def test_splits_are_tokenised_as_the_teachers_tokeniser_does(teacher: Path, tmp_path: Path):
    rows = {"train": tiny.sentences(40, 1), "dev": tiny.sentences(20, 2), "test": tiny.sentences(10, 3)}
    summary = prepare(teacher, tmp_path, {name: split(part) for name, part in rows.items()})
    tokeniser = load_tokeniser(teacher, 12)
    lengths = []
    for name, part in rows.items():
        tokens = open_tokens(tmp_path / name)
        expected = [tokeniser.encode(text).ids for _, text in part]
        assert [tokens.tokens(index).tolist() for index in range(len(tokens))] == expected
        assert tokens.labels.tolist() == [int(label == "positive") for label, _ in part]
        assert tokens.ids.tolist() == [example_id(text) for _, text in part]
        lengths.append([len(ids) for ids in expected])
    assert summary.labels == ["negative", "positive"]
    assert summary.counts == {"dev": 20, "test": 10, "train": 40}
    assert summary.mean_tokens == round(float(np.mean(lengths[0])), 2)
    assert summary.warnings == ["only 20 dev rows: accuracy intervals will be wide"]
    assert PreparedData.load(tmp_path) == summary


def test_a_text_that_is_too_long_is_cut_and_counted(teacher: Path, tmp_path: Path):
    rows = [("a", "film " * 30), ("b", "film"), ("a", "the film"), ("b", "dull " * 10)]
    summary = prepare(teacher, tmp_path, {"train": split(rows), "dev": split([("a", "warm"), ("b", "weak")])})
    assert summary.cut == {"train": 1, "dev": 0}
    tokens = open_tokens(tmp_path / "train")
    assert tokens.lengths.tolist() == [12, 3, 4, 12]
    assert tokens.tokens(0)[-1] == tokens.tokens(1)[-1], "a cut text still ends with the separator"


def test_labels_may_be_given_by_name_and_by_number(teacher: Path, tmp_path: Path):
    dev = split([("1", "warm"), ("negative", "weak")])
    rows = {"train": split([("positive", "fine"), ("0", "dull"), ("1", "great")]), "dev": dev}
    summary = prepare(teacher, tmp_path, rows, labels=["negative", "positive"])
    assert summary.labels == ["negative", "positive"]
    assert open_tokens(tmp_path / "train").labels.tolist() == [1, 0, 1]
    assert open_tokens(tmp_path / "dev").labels.tolist() == [1, 0]


def test_labels_of_a_source_keep_its_order_unless_the_recipe_names_another(teacher: Path, tmp_path: Path):
    note = "3 rows have no label"
    train = replace(split([("good", "fine"), ("bad", "dull")]), labels=["good", "bad"], notes=(note,))
    for labels in (None, ["bad", "good"]):
        summary = prepare(
            teacher, tmp_path, {"train": train, "dev": split([("good", "x"), ("bad", "y")])}, labels=labels
        )
        assert summary.labels == (labels or ["good", "bad"])
        assert summary.warnings[0] == note


def test_number_labels_are_put_in_numeric_order(teacher: Path, tmp_path: Path):
    rows = [(number, f"film {number}") for number in (10, 2, -1, 10)]
    dev = split([(10, "warm"), (2, "weak")])
    summary = prepare(teacher, tmp_path, {"train": split(rows), "dev": dev})
    assert summary.labels == ["-1", "2", "10"]
    assert open_tokens(tmp_path / "train").labels.tolist() == [2, 1, 0, 2]


GOOD_DEV = [("a", "warm"), ("b", "weak")]


@pytest.mark.parametrize(
    ("train", "dev", "keys", "line"),
    [
        ([("a", "x"), ("b", "  ")], GOOD_DEV, {}, "train.tsv:3: the text is empty; fill the row or remove it"),
        ([("a", "x"), ("b", None)], GOOD_DEV, {}, "train.tsv:3: the text is empty"),
        ([("a", "x"), ("b", "y")], [("a", "warm"), ("b", "")], {}, "dev.tsv:3: the text is empty"),
        (
            [("good", "x"), ("bad", "y"), ("godo", "z")],
            GOOD_DEV,
            {"labels": ["bad", "good"]},
            "train.tsv:4: label 'godo' is not one of the labels (bad, good); did you mean 'good'?",
        ),
        (
            [("a", "x"), ("b", "y")],
            [("a", "warm"), ("b", "weak"), ("c", "dull")],
            {},
            "dev.tsv:4: label 'c' is not one of the labels (a, b)",
        ),
        (
            [("a", "x"), ("", "y"), ("b", "z")],
            GOOD_DEV,
            {},
            "train.tsv:3: label '' is not one of the labels (a, b); give the row a label or remove it",
        ),
        (
            [("1", "x"), ("2", "y")],
            [("1", "warm"), ("0", "weak")],
            {},
            "dev.tsv:3: label '0' is not one of the labels (1, 2)",
        ),
        ([("a", "x"), ("a", "y")], GOOD_DEV, {}, "train.tsv: every row has the label 'a': one class is nothing to"),
        (
            [("a", "x"), ("a", "y")],
            GOOD_DEV,
            {"labels": ["a", "b"]},
            "train.tsv: only one class in 2 rows (a); accuracy on it would mean nothing",
        ),
        ([("a", "x"), ("b", "y")], [("b", "warm"), ("b", "weak")], {}, "dev.tsv: only one class in 2 rows (b)"),
        ([("a", "x"), ("b", "y")], [], {}, "dev.tsv: the split has no rows; name a file with rows"),
    ],
)
def test_a_bad_row_is_named_with_its_number(
    teacher: Path, tmp_path: Path, train: list, dev: list, keys: dict[str, object], line: str
):
    rows = {"train": split(train), "dev": split(dev, "dev.tsv")}
    assert line_of(teacher, tmp_path, rows, **keys).startswith(line)


def test_a_column_of_texts_named_as_labels_is_refused(teacher: Path, tmp_path: Path):
    rows = [(f"text {number}", f"film {number}") for number in range(1200)]
    assert line_of(teacher, tmp_path, {"train": split(rows)}) == (
        "train.tsv: 1200 different labels in 1200 rows; is data.label the right column?"
    )


def unbalanced() -> list[tuple[str, str]]:
    """Returns 300 rows, 240 good and 60 bad, a tenth of the texts twice."""
    rows = [("bad" if number % 5 == 0 else "good", f"film {number}") for number in range(300)]
    return rows + rows[::10]


def test_a_dev_split_set_aside_is_stratified_and_shares_no_text(teacher: Path, tmp_path: Path):
    summary = prepare(teacher, tmp_path, {"train": split(unbalanced())}, dev_share=0.2)
    train, dev = set(ids_of(tmp_path, "train")), set(ids_of(tmp_path, "dev"))
    assert not train & dev
    assert train | dev == {example_id(text) for _, text in unbalanced()}
    assert sum(summary.counts.values()) == 330
    bad = {example_id(text) for label, text in unbalanced() if label == "bad"}
    assert (len(dev & bad), len(dev - bad)) == (12, 48)


def test_every_class_keeps_a_row_for_training(teacher: Path, tmp_path: Path):
    rows = [("many", f"film {number}") for number in range(30)] + [("some", f"plot {number}") for number in range(9)]
    rare = [("one", "warm"), ("two", "weak"), ("two", "dull"), ("both", "film 3"), ("both", "plot 3")]
    for seed in range(6):
        folder = tmp_path / str(seed)
        summary = prepare(teacher, folder, {"train": split(rows + rare)}, seed=seed, dev_share=0.3, test_share=0.5)
        assert set(open_tokens(folder / "train").labels.tolist()) == set(range(5))
        assert not [warning for warning in summary.warnings if "no training row" in warning]


def test_classes_that_no_training_row_has_are_told(teacher: Path, tmp_path: Path):
    rows = {"train": split([("b", "fine"), ("d", "dull")]), "dev": split([("b", "warm"), ("d", "weak")])}
    summary = prepare(teacher, tmp_path, rows, labels=["a", "b", "c", "d"])
    assert summary.warnings[0] == "no training row has 2 of the 4 labels (a, c)"


def test_the_dev_split_follows_from_the_seed(teacher: Path, tmp_path: Path):
    found = {}
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        prepare(teacher, tmp_path / name, {"train": split(unbalanced())}, seed=seed)
        found[name] = ids_of(tmp_path / name, "dev")
    assert found["one"] == found["again"]
    assert set(found["one"]) != set(found["other"])


def test_a_text_with_two_labels_still_lies_on_one_side(teacher: Path, tmp_path: Path):
    rows = [(label, f"film {number}") for number in range(40) for label in ("good", "bad")]
    prepare(teacher, tmp_path, {"train": split(rows)}, dev_share=0.25)
    assert not set(ids_of(tmp_path, "train")) & set(ids_of(tmp_path, "dev"))


def test_training_rows_that_repeat_a_judged_text_are_dropped_and_counted(teacher: Path, tmp_path: Path):
    train, dev, test = tiny.sentences(40, 1), tiny.sentences(10, 2), tiny.sentences(10, 3)
    rows = {"train": split([*train, *dev[:3], test[0], dev[0]]), "dev": split(dev), "test": split(test)}
    summary = prepare(teacher, tmp_path, rows)
    assert summary.leaked == 5
    assert summary.warnings[0] == "5 training rows repeat a dev or test text and were left out of training"
    assert ids_of(tmp_path, "train") == [example_id(text) for _, text in train]
    assert len(ids_of(tmp_path, "dev")) == 10


def test_judged_rows_that_repeat_a_text_are_told(teacher: Path, tmp_path: Path):
    dev = [("a", "warm"), ("b", "weak"), ("b", "warm"), ("b", "weak")]
    rows = {"train": split([("a", "fine"), ("b", "dull"), ("b", "dull")]), "dev": split(dev)}
    warnings = prepare(teacher, tmp_path, rows).warnings
    assert warnings[0] == "2 dev rows repeat another's text, which is judged once"
    assert len(warnings) == 2


def test_a_split_of_which_nothing_is_left_is_one_line(teacher: Path, tmp_path: Path):
    rows = [("a", "warm"), ("b", "weak")]
    assert line_of(teacher, tmp_path, {"train": split(rows), "dev": split(rows)}) == (
        "train.tsv: no training row is left (2 repeat a dev or test text); name other rows to train on, or to judge on"
    )
    assert line_of(teacher, tmp_path, {"train": split(rows)}) == (
        "the dev split: no row could be set aside; give more rows, or name data.dev"
    )


def test_a_dev_split_set_aside_leaves_the_test_texts_out(teacher: Path, tmp_path: Path):
    rows, test = tiny.sentences(60, 1), tiny.sentences(10, 3)
    summary = prepare(teacher, tmp_path, {"train": split(rows + test), "test": split(test)})
    assert summary.leaked == 10
    assert not set(ids_of(tmp_path, "dev")) & set(ids_of(tmp_path, "test"))


def test_the_training_split_can_be_limited(teacher: Path, tmp_path: Path):
    rows = {"train": split(tiny.sentences(60, 1)), "dev": split(tiny.sentences(20, 2))}
    found = {}
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        assert prepare(teacher, tmp_path / name, rows, seed=seed, train_limit=30).counts == {"train": 30, "dev": 20}
        found[name] = ids_of(tmp_path / name, "train")
    assert found["one"] == found["again"]
    assert found["one"] != found["other"]
    order = [example_id(text) for _, text in tiny.sentences(60, 1)]
    assert found["one"] == [name for name in order if name in set(found["one"])]
    assert prepare(teacher, tmp_path / "all", rows, train_limit=1000).counts["train"] == 60
