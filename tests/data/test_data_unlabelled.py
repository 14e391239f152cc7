"""Plain text to a token set, from every kind of file, and one line for each that cannot be used."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.data.asking import ask
from edgedistil.data.judged import Judged
from edgedistil.data.tokens import load_tokeniser
from edgedistil.data.unlabelled import load_unlabelled
from edgedistil.errors import UsageError
from edgedistil.hashing import example_id

TEXTS = ["the film was fine", 'a dull story, "very" dull', "its plot"]


def write(folder: Path, name: str) -> Path:
    """Writes the texts, and one that is empty, as one kind of file."""
    path = folder / name
    texts = [*TEXTS[:2], " ", TEXTS[2]]
    rows = "".join(json.dumps({"id": 1, "label": None, "text": text}) + "\n" for text in texts)
    content = {
        "a.txt": "\n".join(texts) + "\n",
        "a.jsonl": rows.replace("\n", "\n\n"),
        "a.tsv": "id\ttext\n" + "".join(f"1\t{text}\n" for text in texts),
        "a.csv": "text,id\n" + "".join('"{}",1\n'.format(text.replace('"', '""')) for text in texts),
    }
    if name == "a.parquet":
        parquet.write_table(pa.table({"text": texts, "x": [1] * 4}), path)
    elif name == "a.jsonl.gz":
        path.write_bytes(gzip.compress(rows.encode()))
    else:
        path.write_text(content[name])
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.jsonl.gz", "a.tsv", "a.csv", "a.parquet"])
def test_every_kind_of_file_gives_the_same_rows(teacher: Path, tmp_path: Path, name: str):
    tokens = load_unlabelled(write(tmp_path, name), teacher, tmp_path / "out", 32)
    tokeniser = load_tokeniser(teacher, 32)
    assert [tokens.tokens(row).tolist() for row in range(len(tokens))] == [tokeniser.encode(text).ids for text in TEXTS]
    assert tokens.labels.tolist() == [-1] * 3


def loaded(teacher: Path, tmp_path: Path, text: str, **keys: object) -> EvaluationSet:
    (tmp_path / "a.txt").write_text(text)
    return load_unlabelled(tmp_path / "a.txt", teacher, tmp_path / "out", 8, **keys)


def test_a_long_text_is_cut_or_becomes_several_rows(teacher: Path, tmp_path: Path):
    text = "film plot story scene score ending script acting\n"
    assert loaded(teacher, tmp_path, text).lengths.tolist() == [8]
    packed = loaded(teacher, tmp_path, text, pack=True)
    assert packed.lengths.tolist() == [8, 4]
    whole = load_tokeniser(teacher, 99).encode(text.strip()).ids
    assert [token for row in range(2) for token in packed.tokens(row).tolist()[1:-1]] == whole[1:-1]
    assert len(set(packed.ids.tolist())) == 1


def test_labels_say_that_there_are_none(teacher: Path, tmp_path: Path):
    assert np.isnan(loaded(teacher, tmp_path, "film\n", kind="value").labels).all()
    tags = loaded(teacher, tmp_path, "film plot\n", kind="tags")
    assert tags.labels.tolist() == [-100] * 4
    assert tags.starts is not None
    assert tags.starts.tolist() == [-1, 0, 5, -1]


def test_only_so_many_texts_are_read(teacher: Path, tmp_path: Path):
    assert len(loaded(teacher, tmp_path, "film\n" * 9, limit=4)) == 4


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "a.jsonl:2: not valid JSON ("),
        (
            "a.jsonl",
            '{"text": "a"}\n{"txt": "b"}\n',
            "a.jsonl:2: has no text under the key 'text'; correct the row or the",
        ),
        ("a.jsonl", "[1]\n", "a.jsonl:1: the line is no JSON object; give one object a line"),
        (
            "a.jsonl",
            '\n{"text": "\\ud800"}\n',
            "a.jsonl:2: a text has half of a surrogate pair; mend or remove the row",
        ),
        (
            "a.csv",
            "text,text\na,b\n",
            "a.csv:1: the first line must name the columns, each once, and names 'text' again",
        ),
        ("a.csv", "text\na\n\nb, c\n", "a.csv:4: the row has 2 columns, the header 1; name every column; within a"),
        ("a.csv", 'text\n"a\na"\n"b\nc\n', "a.csv:4: a quote in the row is never closed; close it, or double one"),
        (
            "a.tsv",
            "id\ttexts\n1\ta\n",
            "a.tsv: no column 'text' (the column of text); the file has: id, texts; did you",
        ),
        (
            "a.csv",
            'id,text\n1,"a\nb"\n\n2\n',
            "a.csv:5: the row has 1 columns, the header 2; complete the row",
        ),
        ("a.txt", "\n \n", "a.txt: no text in it; name a file with text"),
        ("a.txt", "", "a.txt: the file is empty; name a file with rows"),
        ("a.parquet", "x", "a.parquet: cannot read it as parquet ("),
        ("a.xml", "x", "a.xml: unknown kind of file '.xml'; use .txt, .jsonl, .jsonl.gz, .tsv, .csv or .parquet"),
        ("a.jsonl.gz", "x", "a.jsonl.gz: is not compressed; leave .gz out of its name"),
        ("a.txt", None, "a.txt: no such data file; correct the path of the unlabelled text"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(teacher: Path, tmp_path: Path, name: str, content: str, line: str):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError) as caught:
        load_unlabelled(tmp_path / name, teacher, tmp_path / "out", 8)
    assert caught.value.line().replace(f"{tmp_path}/", "").startswith(line)
    assert "\n" not in caught.value.line()


def test_a_parquet_that_cannot_be_used_is_one_line(teacher: Path, tmp_path: Path):
    path = tmp_path / "a.parquet"

    def line() -> str:
        with pytest.raises(UsageError) as caught:
            load_unlabelled(path, teacher, tmp_path / "out", 8)
        return caught.value.line().replace(f"{tmp_path}/", "")

    parquet.write_table(pa.table({"text": [b"ab"]}), path)
    assert line() == "a.parquet: row 1: b'ab' is no single text; name a column of strings, one text a row"
    parquet.write_table(pa.Table.from_arrays([pa.array(["a"])] * 2, ["text", "text"]), path)
    assert line() == "a.parquet: two columns are named 'text'; rename or remove one"
    parquet.write_table(pa.table({"text": [f"text {number}" for number in range(9999)]}), path)
    spoilt = bytearray(path.read_bytes())
    spoilt[2000:6000] = bytes(4000)
    path.write_bytes(spoilt)
    assert line().startswith("a.parquet: cannot read it as parquet (")


def test_a_folder_is_told_from_a_file_that_is_missing(teacher: Path, tmp_path: Path):
    with pytest.raises(UsageError, match=f"{tmp_path}: is a folder, not a file; name the file in it"):
        load_unlabelled(tmp_path, teacher, tmp_path / "out", 8)


def test_a_sentence_asks_and_the_rest_of_its_passage_answers(teacher: Path, tmp_path: Path):
    passage = "The film was warm and moving. This story has a dull script. Its ending is a very great scene."
    (tmp_path / "a.txt").write_text(f"{passage}\nwarm film\n")
    rows = load_unlabelled(tmp_path / "a.txt", teacher, tmp_path / "out", 48, kind="span")
    tokeniser = load_tokeniser(teacher, 48)
    row, *clozes = [rows.input_ids[rows.slice(index)] for index in range(len(rows))]
    assert tokeniser.decode(list(row)).startswith("this story has a dull script")
    assert clozes
    assert all("the film was warm and moving" in tokeniser.decode(list(cloze)) for cloze in clozes)
    assert rows.labels[0].tolist() == [-100, -100]
    for index in range(1, len(rows)):
        first, last = rows.labels[index]
        answer = tokeniser.decode(rows.input_ids[rows.slice(index)][first : last + 1].tolist())
        assert answer in passage.lower()
        assert first <= last
    starts, ends = rows.starts[rows.slice(0)], rows.ends[rows.slice(0)]
    answerable = starts >= 0
    assert passage.replace("This story has a dull script. ", "")[starts[answerable][0] :].startswith("The film")
    assert ends[answerable].max() == len("The film was warm and moving. Its ending is a very great scene.")


PAIRS = [("warm film", "a fine story"), ("dull plot", "its ending was dull")]


def write_pairs(folder: Path, name: str) -> Path:
    """Writes the pairs, and one of which both sides are empty, as one kind of file."""
    path, pairs = folder / name, [*PAIRS[:1], ("", " "), *PAIRS[1:]]
    if name.endswith(".parquet"):
        parquet.write_table(pa.table({"q": [one for one, _ in pairs], "c": [two for _, two in pairs]}), path)
    elif name.endswith(".jsonl"):
        path.write_text("".join(json.dumps({"q": one, "c": two}) + "\n" for one, two in pairs))
    else:
        separator = "\t" if name.endswith(".tsv") else ","
        path.write_text("".join(separator.join(row) + "\n" for row in [("q", "c"), *pairs]))
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.tsv", "a.csv", "a.parquet"])
@pytest.mark.parametrize("kind", ["class", "value", "span"])
def test_pairs_of_every_kind_of_file_are_rows_of_two_texts(teacher: Path, tmp_path: Path, name: str, kind: str):
    path = write_pairs(tmp_path, name)
    rows = load_unlabelled(path, teacher, tmp_path / "out", 32, kind=kind, column="q", pair="c")
    tokeniser = load_tokeniser(teacher, 32)
    assert [rows.tokens(row).tolist() for row in range(len(rows))] == [tokeniser.encode(*pair).ids for pair in PAIRS]
    assert not (rows.labels >= 0).any(), "nobody has labelled them"
    if kind == "span":
        assert rows.starts is not None
        assert rows.starts[rows.slice(0)].tolist() == [-1, -1, -1, -1, 0, 2, 7, -1]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.jsonl", '{"q": "a", "c": "b"}\n{"q": "a", "c": " "}\n', "a.jsonl:2: the pair's 'c' is empty; complete the"),
        ("a.jsonl", '{"q": "a"}\n', "a.jsonl:1: has no text under the key 'c'; correct the row or the key"),
        ("a.tsv", "q\tc\n\tb\n", "a.tsv:2: the pair's 'q' is empty; complete the row or remove it"),
        ("a.tsv", "q\td\na\tb\n", "a.tsv: no column 'c' (the column of text); the file has: q, d"),
        ("a.txt", "a\n", "a.txt: has one text a line, and a pair has two; use .jsonl, .tsv or .csv"),
    ],
)
def test_a_pair_without_one_of_its_sides_is_one_line(teacher: Path, tmp_path: Path, name: str, content: str, line: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError) as caught:
        load_unlabelled(tmp_path / name, teacher, tmp_path / "out", 32, column="q", pair="c")
    assert caught.value.line().replace(f"{tmp_path}/", "").startswith(line)


def test_a_passage_without_a_question_asks_for_what_it_knows(teacher: Path, tmp_path: Path):
    passage = "The film was warm and moving. This story has a dull script."
    rows = [{"question": "what was warm", "context": passage}, {"context": passage}, {"question": None, "context": ""}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    mixed = load_unlabelled(
        tmp_path / "a.jsonl", teacher, tmp_path / "mixed", 64, kind="span", column="question", pair="context"
    )
    (tmp_path / "a.txt").write_text(f"{passage}\n")
    alone = load_unlabelled(tmp_path / "a.txt", teacher, tmp_path / "alone", 64, kind="span")
    assert mixed.labels.tolist() == [[-100, -100], *alone.labels.tolist()]
    assert (alone.labels >= 0).any()
    assert mixed.tokens(0).tolist() == load_tokeniser(teacher, 64).encode("what was warm", passage).ids


@pytest.mark.parametrize(
    ("kind", "rows", "judged", "left"),
    [
        ("class", ["a film", "a plot", "a film"], {"names": [example_id("a film")]}, 1),
        ("value", [("a", "film"), ("a", "plot")], {"names": [example_id("a", "film"), example_id("plot")]}, 1),
        ("span", [("who", "a film"), ("what", "a plot")], {"passages": [example_id("a film")]}, 1),
    ],
)
def test_judged_texts_are_left_out_and_counted(
    teacher: Path, tmp_path: Path, kind: str, rows: list, judged: dict, left: int
):
    pairs = [("text", row) if isinstance(row, str) else row for row in rows]
    (tmp_path / "a.tsv").write_text("".join(f"{one}\t{two}\n" for one, two in [("q", "c"), *pairs]))
    keys = {"column": "c"} if kind == "class" else {"column": "q", "pair": "c"}
    counted = Judged(**judged)
    found = load_unlabelled(tmp_path / "a.tsv", teacher, tmp_path / "out", 32, kind=kind, judged=counted, **keys)
    assert (len(found), counted.repeated) == (left, len(rows) - left)


def test_a_file_of_judged_texts_alone_is_one_line(teacher: Path, tmp_path: Path):
    (tmp_path / "a.txt").write_text("a film\na film\n")
    with pytest.raises(UsageError, match=r"a\.txt: no text in it, but 2 that repeat a dev or test text; name a file"):
        load_unlabelled(tmp_path / "a.txt", teacher, tmp_path / "out", 8, judged=Judged([example_id("a film")]))


def test_text_without_passages_asks_nothing(teacher: Path, tmp_path: Path):
    (tmp_path / "a.txt").write_text("warm film\n")
    with pytest.raises(UsageError, match="no text in it that one could ask about"):
        load_unlabelled(tmp_path / "a.txt", teacher, tmp_path / "out", 48, kind="span")


PASSAGE = (
    "In 1969 the crew of Apollo 11 walked on the Moon, and the rest of us watched it at home. It cost $28 billion in "
    "all. A later crew drove 36 km there, in a car that the wheels of which were of wire. Nobody has been back since."
)


def test_what_is_asked_for_is_left_out_of_its_question_and_stands_in_the_passage():
    asked, *clozes = ask(PASSAGE, 20)
    assert asked.text in PASSAGE
    assert asked.text not in asked.passage
    assert asked.answer is None, "nobody knows which words of the rest answer a sentence"
    assert {cloze.passage for cloze in clozes} == {PASSAGE}
    for cloze in clozes:
        assert cloze.answer is not None
        assert PASSAGE[slice(*cloze.answer)] not in cloze.text.split()
        assert cloze.text.endswith("?")


def test_the_same_text_asks_the_same():
    assert ask(PASSAGE, 20) == ask(PASSAGE, 20)


@pytest.mark.parametrize("most", range(2, 12))
def test_a_question_is_never_longer_than_it_may_be(most: int):
    words = " ".join(f"word{number}" for number in range(20))
    for question in ask(f"{words} 36 {words}. {words} the Moon {words}.", most):
        assert len(question.text.split()) <= most


@given(st.text(alphabet="abcT .,!?AB19%$", max_size=200), st.integers(2, 40))
def test_no_word_is_lost_between_a_question_and_its_passage(text: str, most: int):
    words = Counter(text.split())
    for question in ask(text, most):
        assert len(question.text.split()) <= most
        assert Counter(question.passage.split()) in (words, words - Counter(question.text.split()))
        if question.answer:
            answer = question.passage[slice(*question.answer)]
            assert answer == answer.strip() != ""
