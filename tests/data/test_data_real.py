"""The real data sets beside the project: every row comes through its task's reading and checking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgedistil.data.plain_text import read_texts
from edgedistil.data.sources import Rows, open_source
from edgedistil.recipe import Workspace
from edgedistil.recipe.schema import Data
from edgedistil.tasks import get_task

SHARED = Path(__file__).parents[3] / "shared" / "data"
SETS: dict[str, tuple[str, dict[str, Any], list[int]]] = {
    "emotion": (
        "text-classification",
        {"train": "train_text.txt", "train_labels": "train_labels.txt", "test": "test_text.txt"}
        | {"test_labels": "test_labels.txt", "labels": ["anger", "joy", "optimism", "sadness"]},
        [3257, 1421],
    ),
    "stsb": (
        "regression",
        {"train": "train.tsv", "test": "dev.tsv", "text": "sentence1", "text_pair": "sentence2", "label": "score"},
        [5749, 1500],
    ),
    "toxic_spans": (
        "token-classification",
        {"train": "tsd_train.csv", "test": "tsd_test.csv", "spans": "spans", "labels": ["toxic"]},
        [7939, 2000],
    ),
    "xquad_en": ("question-answering", {"train": "xquad.en.json", "group": "title"}, [1190]),
}


def needs(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"the real data is not there: {path.name}")
    return path


@pytest.mark.real
@pytest.mark.parametrize("name", SETS)
def test_every_row_comes_through(name: str, tmp_path: Path):
    folder = needs(SHARED / name)
    task_name, keys, counts = SETS[name]
    task, data = get_task(task_name), Data(**keys)
    splits = open_source(data, Workspace(folder), tmp_path / "cache" / "downloads", task).read()
    labels = task.choose_labels(data, lambda column: splits["train"].table[column], name)
    found = {split: len(_examples(task, rows, labels)) for split, rows in splits.items()}
    assert list(found.values()) == counts


def _examples(task: Any, rows: Rows, labels: list[str]) -> list:
    examples = task.examples(rows.table[:], labels, rows.place)
    task.check([example.value for example in examples], labels, rows.where)
    return examples


@pytest.mark.real
def test_the_unlabelled_reviews_are_read(tmp_path: Path):
    path = needs(SHARED / "imdb_unlabelled" / "train_unsup.jsonl.gz")
    texts = read_texts(path, "text")
    assert all(len(next(texts).split()) > 5 for _ in range(50))
