"""SQuAD's JSON, lines of text beside lines of labels, and the columns of every task, from file to rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import datasets
import pytest

from edgedistil.data.sources import Rows, open_source
from edgedistil.data.sources.base import select
from edgedistil.data.sources.hub import named_classes
from edgedistil.errors import UsageError
from edgedistil.recipe import Workspace
from edgedistil.recipe.schema import Data
from edgedistil.tasks import get_task
from edgedistil.tasks.base import Column

FRANCE = "Paris is in France."


def read(folder: Path, task: str, **keys: object) -> Rows:
    """Returns the training rows of a recipe's data."""
    source = open_source(Data(**keys), Workspace(folder), folder / "cache" / "downloads", get_task(task))
    source.fingerprint()
    return source.read()["train"]


def line_of(folder: Path, task: str, **keys: object) -> str:
    with pytest.raises(UsageError) as caught:
        read(folder, task, **keys)
    return caught.value.line().replace(f"{folder}/", "")


def squad(answers: object, context: object = FRANCE, question: object = "Where is Paris?") -> str:
    paragraph = {"context": context, "qas": [{"question": question, "id": "1", "answers": answers}]}
    return json.dumps({"data": [{"title": "Paris", "paragraphs": [paragraph]}], "version": "1.1"})


def test_squads_layout_is_read(tmp_path: Path):
    (tmp_path / "a.json").write_text(squad([{"text": "France", "answer_start": 12}]))
    rows = read(tmp_path, "question-answering", train="a.json", group="title")
    assert rows.table[:] == {
        "question": ["Where is Paris?"],
        "context": ["Paris is in France."],
        "answers": [{"text": ["France"], "answer_start": [12]}],
        "group": ["Paris"],
    }
    assert rows.group == "group"


def test_lines_whose_text_is_called_data_are_no_squad(tmp_path: Path):
    (tmp_path / "a.json").write_text('{"data": "good", "label": 1}\n{"data": "bad", "label": 0}\n')
    assert read(tmp_path, "text-classification", train="a.json", text="data").table["text"][:] == ["good", "bad"]


def test_a_changed_file_of_the_same_name_is_read_anew(tmp_path: Path):
    for text in ("France", "Paris"):
        (tmp_path / "a.json").write_text(squad([{"text": text, "answer_start": 0}]))
        assert read(tmp_path, "question-answering", train="a.json").table[0]["answers"]["text"] == [text]


def test_the_hubs_layout_is_read_from_lines(tmp_path: Path):
    row = {"id": "1", "context": "c", "question": "q", "answers": {"text": ["c"], "answer_start": [0]}}
    for name in ("a.jsonl", "b.json"):
        (tmp_path / name).write_text(json.dumps(row) + "\n")
        assert read(tmp_path, "question-answering", train=name).table[0]["answers"] == row["answers"]


def test_a_group_may_be_a_column_that_the_task_reads(tmp_path: Path):
    (tmp_path / "a.json").write_text(squad([{"text": "France", "answer_start": 12}]))
    assert read(tmp_path, "question-answering", train="a.json", group="context").group == "context"


def test_a_question_of_squad_2_without_an_answer_is_a_row_without_one(tmp_path: Path):
    (tmp_path / "a.json").write_text(squad(None))
    assert read(tmp_path, "question-answering", train="a.json").table["answers"][:] == [
        {"text": [], "answer_start": []}
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('{"data": [{"title": "x", "para', "a.json:1: not valid JSON (Unterminated string starting at); the file is"),
        ('{"data": []}', "a.json: has no list 'data' of articles; give SQuAD v1.1's layout"),
        ('{"version": "1.1"}', "a.json: has no list 'data' of articles"),
        ('{"data": [{"title": "x"}]}', "a.json: article 1 has no 'paragraphs' where SQuAD has one"),
        ('{"data": [{"paragraphs": [{"qas": [{}], "context": "c"}]}]}', "a.json: article 1 has no 'question' where"),
        ('{"data": [3]}', "a.json: article 1 has another layout where SQuAD has one"),
        (squad([], context=3), "a.json: article 1: 3 stands where a text belongs; mend or remove it"),
        (squad([], question=None), "a.json: article 1: None stands where a text belongs"),
        (squad([], question="\ud800"), "a.json: article 1: a text has half of a surrogate pair"),
        (squad([{"text": 1, "answer_start": 0}]), "a.json: article 1: 1 stands where a text belongs"),
        (squad([{"text": "c", "answer_start": "x"}]), "a.json: article 1: answer_start is 'x', which is no character"),
        (squad([{"text": "c", "answer_start": 10**30}]), "a.json: article 1: answer_start is 1000000000000000000000"),
        (squad({"text": "c", "answer_start": 0}), "a.json: article 1 has another layout where SQuAD has"),
    ],
)
def test_a_squad_file_that_cannot_be_used_is_one_line(tmp_path: Path, content: str, line: str):
    (tmp_path / "a.json").write_text(content)
    assert line_of(tmp_path, "question-answering", train="a.json").startswith(line)
    assert not list((tmp_path / "cache").rglob("*.arrow"))


def write_lines(folder: Path, texts: str, labels: str) -> None:
    (folder / "text.txt").write_text(texts)
    (folder / "labels.txt").write_text(labels)


def test_lines_of_text_are_read_beside_their_labels(tmp_path: Path):
    write_lines(tmp_path, 'a "b\tc \nd\x85e\n', "1\n0\n")
    rows = read(tmp_path, "text-classification", train="text.txt", train_labels="labels.txt")
    assert rows.table[:] == {"text": ['a "b\tc ', "d\x85e"], "label": ["1", "0"]}
    assert rows.first_row == 1


def test_lines_that_do_not_pair_up_are_one_line(tmp_path: Path):
    write_lines(tmp_path, "a\nb\n", "1\n")
    keys = {"train": "text.txt", "train_labels": "labels.txt"}
    assert line_of(tmp_path, "text-classification", **keys) == (
        "labels.txt: has 1 lines and text.txt more; give every text one label"
    )
    assert line_of(tmp_path, "text-classification", train="text.txt") == (
        "text.txt: lines of text come without labels; name the file with a label a line: data.train_labels"
    )
    assert line_of(tmp_path, "text-classification", train="text.txt", train_labels="no.txt").startswith(
        "no.txt: no such data file"
    )


def test_lines_of_text_are_no_pairs_and_no_tokens(tmp_path: Path):
    write_lines(tmp_path, "a\n", "b\n")
    for task, key in (("pair-classification", "text_pair"), ("token-classification", "tokens")):
        assert line_of(tmp_path, task, train="text.txt", train_labels="labels.txt") == (
            f"text.txt: has a text a line, and the task reads data.{key} too; use .jsonl or a table"
        )


def test_labels_beside_a_table_are_refused_rather_than_left_unread(tmp_path: Path):
    (tmp_path / "a.tsv").write_text("text\tlabel\na\tb\n")
    (tmp_path / "labels.txt").write_text("1\n")
    assert line_of(tmp_path, "text-classification", train="a.tsv", train_labels="labels.txt") == (
        "a.tsv: data.train_labels is not read: a table holds its own labels; leave out data.train_labels"
    )


def test_labels_are_part_of_the_fingerprint(tmp_path: Path):
    found = set()
    for labels in ("1\n0\n", "0\n1\n"):
        write_lines(tmp_path, "a\nb\n", labels)
        data = Data(train="text.txt", train_labels="labels.txt")
        found.add(open_source(data, Workspace(tmp_path), tmp_path / "cache" / "downloads").fingerprint())
    assert len(found) == 2


def test_tokens_and_tags_and_compressed_lines_are_read(tmp_path: Path):
    row = json.dumps({"tokens": ["Ann", "ran"], "ner_tags": ["B-PER", "O"]}) + "\n"
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(row.encode()))
    rows = read(tmp_path, "token-classification", train="a.jsonl.gz")
    assert rows.table[:] == {"tokens": [["Ann", "ran"]], "tags": [["B-PER", "O"]]}


def test_a_gzip_that_is_cut_short_is_one_line(tmp_path: Path):
    packed = gzip.compress(b'{"text": "a", "label": "b"}\n' * 999)
    (tmp_path / "a.jsonl.gz").write_bytes(packed[:-20])
    assert "cannot be unpacked (" in line_of(tmp_path, "text-classification", train="a.jsonl.gz")
    (tmp_path / "b.jsonl.gz").write_bytes(b"no gzip")
    assert line_of(tmp_path, "text-classification", train="b.jsonl.gz") == (
        "b.jsonl.gz: is not compressed; leave .gz out of its name, or copy it again"
    )


def test_a_tsv_of_pairs_keeps_stray_quotes_and_every_row(tmp_path: Path):
    rows = ["s1\ts2\tscore", 'he said "no\tshe said "yes" \t1.5', '"\tquote\t2', "last\tone\t3"]
    (tmp_path / "a.tsv").write_text("\n".join(rows) + "\n")
    found = read(tmp_path, "regression", train="a.tsv", text="s1", text_pair="s2", label="score")
    assert found.table[:] == {
        "text": ['he said "no', '"', "last"],
        "pair": ['she said "yes" ', "quote", "one"],
        "label": ["1.5", "2", "3"],
    }


@pytest.mark.parametrize(
    ("task", "keys", "line"),
    [
        ("pair-classification", {"text": "s1"}, "a.tsv: no column 'text_pair' (data.text_pair); the file has: s1, s2"),
        ("regression", {"text": "s1", "text_pair": "s3"}, "a.tsv: no column 's3' (data.text_pair)"),
        ("regression", {"text": "s1", "text_pair": "s1"}, "a.tsv: data.text names a column that another key names too"),
        ("token-classification", {}, "a.tsv: no column 'tokens' (data.tokens)"),
        ("token-classification", {"text": "s1", "spans": "spans"}, "a.tsv: no column 'spans' (data.spans)"),
        ("question-answering", {}, "a.tsv: no column 'question' (data.question)"),
        ("text-classification", {"text": "s1", "group": "g"}, "a.tsv: no column 'g' (data.group)"),
    ],
)
def test_a_missing_column_is_one_line(tmp_path: Path, task: str, keys: dict, line: str):
    (tmp_path / "a.tsv").write_text("s1\ts2\tlabel\na\tb\t1\n")
    assert line_of(tmp_path, task, train="a.tsv", **keys).startswith(line)


def test_a_column_that_bears_anothers_new_name_is_no_obstacle():
    table = datasets.Dataset.from_dict({"text": ["b"], "sentence": ["a"], "label": ["x"]})
    columns = [Column("text", "sentence", "data.text"), Column("pair", "text", "data.text_pair")]
    assert select(table, columns, None, "x").table[:] == {"text": ["a"], "pair": ["b"]}


def test_the_hubs_tag_numbers_become_names():
    features = datasets.Features({"tags": datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER"]))})
    table = datasets.Dataset.from_dict({"tags": [[0, 1], []]}, features)
    assert named_classes(Rows(table, "x")).table[:] == {"tags": [["O", "B-PER"], []]}
