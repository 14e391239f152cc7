from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from edgedistil.data.sources import Rows, open_source
from edgedistil.data.sources.hub import named_classes
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.recipe import Workspace
from edgedistil.recipe.schema import Data


def open_hub(monkeypatch: pytest.MonkeyPatch, folder: Path, answer: object, **keys: object):
    """Returns a source whose Hub gives one table, or fails with one error; and what it was asked."""
    asked = []

    def load_dataset(*arguments: object, **options: object) -> object:
        asked.append((*arguments, options["split"], options["revision"]))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return open_source(Data(source="hub", hub_id="who/what", **keys), Workspace(folder), folder), asked


def classes(numbers: list[int | None]) -> datasets.Dataset:
    """Returns a table of sentences whose classes good and bad, in this order, are numbers."""
    label = datasets.ClassLabel(names=["good", "bad"])
    features = datasets.Features({"sentence": datasets.Value("string"), "label": label})
    return datasets.Dataset.from_dict({"sentence": list("abcd")[: len(numbers)], "label": numbers}, features)


def test_class_numbers_become_names_and_unlabelled_rows_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    named = {"text": "sentence", "dev": "validation", "hub_config": "small", "hub_revision": "v1"}
    source, asked = open_hub(monkeypatch, tmp_path, classes([0, -1, 1, None]), **named)
    rows = source.read()
    assert asked == [("who/what", "small", "train", "v1"), ("who/what", "small", "validation", "v1")]
    assert list(rows) == ["train", "dev"]
    assert rows["train"].table[:] == {"text": ["a", "c"], "label": ["good", "bad"]}
    assert rows["train"].labels == ["good", "bad"], "in the order of their numbers"
    assert [rows["train"].place(row) for row in (0, 1)] == ["who/what/train:1", "who/what/train:3"]
    assert rows["train"].notes == ("2 rows of who/what/train have no label (-1) and were left out",)
    assert rows["dev"].where == "who/what/validation"


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["POSITIVE", "NEGATIVE"], ["NEGATIVE", "POSITIVE"]),
        (["bad", "good"], ["bad", "good"]),
        (["a", "b", "c"], ["bad", "good"]),
    ],
)
def test_labels_that_are_not_the_hubs_names_stand_for_its_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, labels: list[str], found: list[str]
):
    source, _ = open_hub(monkeypatch, tmp_path, classes([1, 0]), text="sentence", labels=labels)
    assert source.read()["train"].table["label"][:] == found


def test_a_split_without_labels_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    source, _ = open_hub(monkeypatch, tmp_path, classes([-1, None]), text="sentence")
    with pytest.raises(UsageError) as caught:
        source.read()
    assert caught.value.line() == "who/what/train: no row has a label (all are -1); name a split that has labels"


def test_classes_that_are_no_one_class_a_row_stay_as_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    one = datasets.ClassLabel(names=["good", "bad"])
    several = datasets.Dataset.from_dict(
        {"text": ["a"], "label": [[0, 1]]},
        datasets.Features({"text": datasets.Value("string"), "label": datasets.Sequence(one)}),
    )
    assert open_hub(monkeypatch, tmp_path, several)[0].read()["train"].table["label"][:] == [[0, 1]]
    single = datasets.Dataset.from_dict({"tags": [1]}, datasets.Features({"tags": one}))
    assert named_classes(Rows(single, "x")).table["tags"][:] == [1]


def test_a_missing_column_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    source, _ = open_hub(monkeypatch, tmp_path, datasets.Dataset.from_dict({"texts": ["a"], "label": ["b"]}))
    with pytest.raises(UsageError) as caught:
        source.read()
    assert caught.value.line() == (
        "who/what/train: no column 'text' (data.text); the file has: texts, label; did you mean 'texts'?"
    )


def test_a_hub_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    source, _ = open_hub(monkeypatch, tmp_path, ConnectionError("no route\nto the Hub"))
    with pytest.raises(EdgeDistilError) as caught:
        source.read()
    assert caught.value.line() == (
        "who/what/train: cannot read the data set from the Hub (no route); "
        "check id, split and network, or use local files"
    )
    assert caught.value.exit_code == 1


def test_the_fingerprint_is_that_of_the_name_the_revision_and_the_splits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def fingerprint(**keys: object) -> str:
        return open_hub(monkeypatch, tmp_path, None, **keys)[0].fingerprint()

    others = ({"hub_revision": "v1"}, {"hub_revision": "v2"}, {"hub_config": "v1"}, {"train": "a"}, {"dev": "a"})
    assert len({fingerprint(**keys) for keys in ({}, {"test": "a"}, *others)}) == 7
    assert fingerprint(train="train") == fingerprint()
