from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from edgedistil.data.sources import open_source
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


def test_class_numbers_become_names_and_an_unlabelled_row_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    table = datasets.Dataset.from_dict({"sentence": ["a", "b", "c"], "label": [1, 0, -1]}, features)
    source, asked = open_hub(
        monkeypatch, tmp_path, table, text="sentence", dev="validation", hub_config="small", hub_revision="v1"
    )
    rows = source.read()
    assert asked == [("who/what", "small", "train", "v1"), ("who/what", "small", "validation", "v1")]
    assert list(rows) == ["train", "dev"]
    assert rows["train"].table[:] == {"text": ["a", "b", "c"], "label": ["good", "bad", ""]}
    assert rows["dev"].where == "who/what/validation"


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
