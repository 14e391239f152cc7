from __future__ import annotations

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from edgedistil.data.sources import open_source
from edgedistil.data.sources.files import FileSource
from edgedistil.errors import UsageError
from edgedistil.recipe import Workspace
from edgedistil.recipe.schema import Data


def source_of(folder: Path, name: str, content: str | bytes | None, **keys: object) -> FileSource:
    """Returns the source of one training file with the given content."""
    if content is not None:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return open_source(Data(train=name, **keys), Workspace(folder), folder / "cache" / "downloads")


def read(folder: Path, name: str, content: str | bytes | None, **keys: object) -> dict[str, list]:
    """Returns the columns read."""
    return source_of(folder, name, content, **keys).read()["train"].table[:]


def line_of(folder: Path, name: str, content: str | bytes | None, **keys: object) -> str:
    """Returns the one line that a bad file gives, its folder left out."""
    source = source_of(folder, name, content, **keys)
    with pytest.raises(UsageError) as caught:
        [source.fingerprint(), source.read()]
    return caught.value.line().replace(f"{folder}/", "")


def test_in_a_tsv_quotes_and_words_like_null_are_text(tmp_path: Path):
    content = 'text\tlabel\nhe said "no\tA\nnull\tNA\n3\t007\n"quoted"\tnan\n, comma\tNone\n'
    assert read(tmp_path, "a.tsv", content) == {
        "text": ['he said "no', "null", "3", '"quoted"', ", comma"],
        "label": ["A", "NA", "007", "nan", "None"],
    }


def test_in_a_csv_quotes_hold_commas_quotes_and_line_ends(tmp_path: Path):
    content = 'id,text,label\n1,"a, ""b""",x\n2,"two\nlines",y\n'
    assert read(tmp_path, "a.csv", content) == {"text": ['a, "b"', "two\nlines"], "label": ["x", "y"]}


def test_columns_without_a_name_are_no_obstacle(tmp_path: Path):
    assert read(tmp_path, "a.csv", ",text,,label\n0,a,x,b\n") == {"text": ["a"], "label": ["b"]}


def test_a_folder_is_told_from_a_file_that_is_missing(tmp_path: Path):
    (tmp_path / "a.tsv").mkdir()
    assert line_of(tmp_path, "a.tsv", None) == "a.tsv: is a folder, not a file; name the file in it"


def test_a_file_that_may_not_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*given: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    source = source_of(tmp_path, "a.tsv", "text\tlabel\na\tb\n")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageError) as caught:
        source.fingerprint()
    assert caught.value.line() == f"{tmp_path}/a.tsv: cannot be read (Permission denied); see to its rights"


def test_the_rows_of_a_file_that_cannot_be_unpacked_are_estimated(tmp_path: Path):
    assert source_of(tmp_path, "a.jsonl.gz", b"no gzip" * 64).estimate_rows() == {"train": 7}


def test_windows_files_are_read(tmp_path: Path):
    assert read(tmp_path, "a.csv", "\ufefftext,label\r\na,x\r\nb,y\r\n") == {"text": ["a", "b"], "label": ["x", "y"]}


def test_jsonl_is_read(tmp_path: Path):
    content = '{"text": "null", "label": 1, "more": 2}\n{"label": 0, "text": "a\\tb"}\n'
    assert read(tmp_path, "a.jsonl", content) == {"text": ["null", "a\tb"], "label": [1, 0]}


def test_parquet_is_read(tmp_path: Path):
    table = pa.table({"sentence": ["a", "b"], "label": [1, 0], "other": [None, 2]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path, "a.parquet", None, text="sentence") == {"text": ["a", "b"], "label": [1, 0]}


def test_of_several_column_names_the_first_that_a_file_has_counts(tmp_path: Path):
    content = "stars\tsentence\tcontent\n1\tb\ta\n"
    columns = {"text": ["content", "sentence"], "label": ["label", "stars"]}
    assert read(tmp_path, "a.tsv", content, **columns) == {"text": ["a"], "label": ["1"]}
    assert read(tmp_path, "b.tsv", content.replace("content", "x"), **columns) == {"text": ["b"], "label": ["1"]}


def test_a_text_longer_than_a_csv_field_usually_is_is_read(tmp_path: Path):
    text = "word " * 40_000
    assert read(tmp_path, "a.csv", f'text,label\n"{text}",x\n')["text"] == [text]


@pytest.mark.parametrize(("name", "first"), [("a.tsv", 2), ("a.jsonl", 1)])
def test_rows_are_numbered_as_a_person_counts_them(tmp_path: Path, name: str, first: int):
    content = {"a.tsv": "text\tlabel\na\tb\n", "a.jsonl": '{"text": "a", "label": "b"}\n'}[name]
    rows = source_of(tmp_path, name, content).read()["train"]
    assert rows.first_row == first
    assert rows.where == str(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "places"),
    [
        ("a.csv", 'text,label\n"two\nlines",a\n\n  \nb,c\n"d",e', ["a.csv:2", "a.csv:6", "a.csv:7"]),
        ("a.tsv", 'text\tlabel\r\n\r\n"a\tb\r\nc\td\r\n\r\n', ["a.tsv:3", "a.tsv:4"]),
        ("a.jsonl", '\n{"text": "a", "label": "b"}\n \n{"text": "c", "label": "d"}', ["a.jsonl:2", "a.jsonl:4"]),
        ("a.json", '[{"text": "a", "label": "b"}, {"text": "c", "label": "d"}]', ["a.json: row 1", "a.json: row 2"]),
    ],
)
def test_a_row_is_named_by_the_line_that_it_begins_on_if_it_has_one(
    tmp_path: Path, name: str, content: str, places: list[str]
):
    rows = source_of(tmp_path, name, content).read()["train"]
    assert [rows.place(row).replace(f"{tmp_path}/", "") for row in range(len(rows.table))] == places


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        (
            "a.tsv",
            "text\tlable\na\tb\n",
            "a.tsv: no column 'label' (data.label); the file has: text, lable; did you mean 'lable'?",
        ),
        ("a.csv", "sentence,label\na,b\n", "a.csv: no column 'text' (data.text); the file has: sentence, label"),
        ("a.jsonl", '{"text": "a"}\n', "a.jsonl: no column 'label' (data.label); the file has: text"),
        ("a.tsv", "", "a.tsv: the file is empty; name a file with rows"),
        ("a.jsonl", "", "a.jsonl: the file is empty; name a file with rows"),
        ("a.tsv", "text\tlabel\n", "a.tsv: the file has a header and no rows; name a file with rows"),
        ("a.csv", "text,label\n\n\n", "a.csv: the file has a header and no rows; name a file with rows"),
        ("a.tsv", "\n\n", "a.tsv:1: the first line must name the columns, each once; add a header line"),
        (
            "a.tsv",
            "text\ttext\na\tb\n",
            "a.tsv:1: the first line must name the columns, each once, and names 'text'",
        ),
        ("a.csv", "  \n  \n", "a.csv:1: the first line must name the columns, each once; add a header line"),
        (
            "a.tsv",
            "text\tlabel\n\na\tb\tc\n",
            "a.tsv:3: the row has 3 columns, the header 2; name every column; within",
        ),
        (
            "a.csv",
            'text,label\n"a\n\na",b\na,b,c\n',
            "a.csv:5: the row has 3 columns, the header 2; name every column; ",
        ),
        ("a.csv", 'text,label\n"a\na",x\n"open,x\nb,y\n', "a.csv:4: a quote in the row is never closed; close it, or"),
        ("a.json", "null", "a.json:1: the line is no JSON object; give rows such as"),
        ("a.jsonl", '\nnull\n{"text": "a", "label": 0}\n', "a.jsonl:2: the line is no JSON object; give rows such as"),
        ("a.json", "[]", "a.json: the file has no rows; name a file with rows"),
        ("a.json", '[{"a": 0},\n{"a" 1}]', "a.json:2: not valid JSON (Expecting ':' delimiter); give one list of obj"),
        ("a.json", '[{"text": "a", "label": "b"},\n3]', "a.json: row 2: it is no JSON object; give rows such as"),
        ("a.jsonl", '{"text": "a"\n{', "a.jsonl:1: not valid JSON (Expecting ',' delimiter); give one object a line"),
        ("a.jsonl", '{"text": "a", "label": 0}\n\n[1]\n', "a.jsonl:3: the line is no JSON object; give rows such as"),
        ("a.jsonl", '{"a": 0}\n{"a": 1, "a": 2}\n', "a.jsonl:2: not valid JSON (a key stands twice); give one object"),
        ("a.jsonl", '{"a": 0}\n{"a": "\\ud800"}\n', "a.jsonl:2: a text has half of a surrogate pair; mend or remove"),
        ("a.jsonl", "\n\n", "a.jsonl: the file has no rows; name a file with rows"),
        ("a.jsonl.gz", gzip.compress(b""), "a.jsonl.gz: the file has no rows; name a file with rows"),
        ("a.csv", "text;label\na;b\n", "a.csv:1: the first line names one column, 'text;label'; part the columns by a"),
        (
            "a.csv",
            "text,label\n".encode("utf-16"),
            "a.csv:1: not UTF-8 (byte 0xff); convert it, for example: iconv -f utf-16 -t utf-8 a.csv",
        ),
        (
            "a.csv",
            "text,label\n".encode("utf-32"),
            "a.csv:1: not UTF-8 (byte 0xff); convert it, for example: iconv -f utf-32 -t utf-8 a.csv",
        ),
        (
            "a.csv",
            "text,label\ncafé,b\n".encode("utf-16-le"),
            "a.csv:1: not UTF-8 (byte 0x00); convert it, for example: iconv -f utf-16le -t utf-8 a.csv",
        ),
        ("a.jsonl", '{"text": 1}'.encode("utf-16-be"), "a.jsonl:1: not UTF-8 (byte 0x00); convert it, for example: ic"),
        ("a.csv", b"PK\x03\x04\xff", "a.csv: is no text: it begins as zip (as .xlsx is) does; unpack it or save it as"),
        ("a.jsonl", gzip.compress(b"{}"), "a.jsonl: is no text: it begins as gzip does; unpack it"),
        ("a.jsonl.gz", "{}", "a.jsonl.gz: is not compressed; leave .gz out of its name"),
        ("a.parquet", "no parquet", "a.parquet: cannot read it as parquet (Parquet"),
        ("a.parquet", "", "a.parquet: cannot read it as parquet (Parquet file size is 0 bytes); it is damaged or of"),
        (
            "a.tsv",
            b"text\tlabel\na\tb\ncaf\xe9\td\n",
            "a.tsv:3: not UTF-8 (byte 0xe9); convert it, for example: iconv -f latin1 -t utf-8 a.tsv",
        ),
        ("a.csv", b"text,label\n\xff,b\n", "a.csv:2: not UTF-8 (byte 0xff)"),
        ("a.xlsx", "x", "a.xlsx: unknown kind of file '.xlsx'; use .tsv, .csv, .jsonl, .jsonl.gz or .p"),
        ("a.tsv", None, "a.tsv: no such data file; correct the recipe's 'data' paths"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, content: str | bytes | None, line: str
):
    assert line_of(tmp_path, name, content).startswith(line)
    assert capfd.readouterr() == ("", ""), "the libraries add nothing of their own"


@pytest.mark.parametrize(
    ("label", "last", "line"),
    [
        ("1", '"label": "one"', "'label' is a text here and a whole number before; give it the same type in every row"),
        ("1", '"label": 1.5', "'label' is a number with a point here and a whole number before; give it the same type"),
        ("1.5", '"label": [1]', "'label' is a list here and a number with a point before; give it the same"),
        ("null", '"label": 1', "'label' has its first value here, too late for its type to be told; move the row to"),
        ("1", '"label": 1, "by": 1', "'by' has its first value here, too late for its type to be told; move the row"),
    ],
)
def test_a_row_of_another_type_in_a_large_file_is_named(tmp_path: Path, label: str, last: str, line: str):
    row = f'{{"text": "{"x" * 500_000}", "label": {label}}}\n'
    content = row * 24 + f'\n{{"text": "a", "label": null}}\n{{"text": "a", {last}}}\n'
    assert line_of(tmp_path, "a.jsonl", content).startswith(f"a.jsonl:27: {line}")


def test_whole_numbers_among_others_and_numbers_among_texts_are_read_in_a_large_file(tmp_path: Path):
    row = f'{{"text": "{"x" * 500_000}", "label": 1.5}}\n'
    assert read(tmp_path, "a.jsonl", row * 24 + '{"text": 3, "label": 2}\n')["label"][-1] == 2.0


def test_a_parquet_without_rows_or_with_a_name_twice_is_one_line(tmp_path: Path):
    none, some = pa.array([], pa.string()), pa.array(["a"])
    parquet.write_table(pa.table({"text": none, "label": none}), tmp_path / "a.parquet")
    assert line_of(tmp_path, "a.parquet", None) == "a.parquet: the file has no rows; name a file with rows"
    parquet.write_table(pa.Table.from_arrays([some] * 3, ["text", "label", "text"]), tmp_path / "b.parquet")
    assert line_of(tmp_path, "b.parquet", None) == "b.parquet: two columns are named 'text'; rename or remove one"


def test_the_fingerprint_is_that_of_the_contents(tmp_path: Path):
    first = source_of(tmp_path, "a.tsv", "text\tlabel\na\tb\n").fingerprint()
    assert source_of(tmp_path, "b.tsv", "text\tlabel\na\tb\n").fingerprint() == first
    assert source_of(tmp_path, "a.tsv", "text\tlabel\na\tc\n").fingerprint() != first


def test_rows_are_estimated_before_they_are_read(tmp_path: Path):
    assert source_of(tmp_path, "a.tsv", "text\tlabel\na\tb\nc\td\n").estimate_rows() == {"train": 2}
    assert source_of(tmp_path, "absent.tsv", None).estimate_rows() == {}


def test_signs_of_a_pattern_in_a_path_are_taken_as_they_are(tmp_path: Path):
    folder = tmp_path / "run [1] *"
    folder.mkdir()
    (tmp_path / "run [1] 2").mkdir()
    (tmp_path / "run [1] 2" / "a?.tsv").write_text("text\tlabel\nanother\tb\n")
    assert read(folder, "a?.tsv", "text\tlabel\na\tb\n")["text"] == ["a"]


def test_a_file_that_was_replaced_in_the_same_moment_is_read_anew(tmp_path: Path):
    for text in ("one", "two"):
        source = source_of(tmp_path, "a.tsv", f"text\tlabel\n{text}\tb\n")
        os.utime(tmp_path / "a.tsv", (1, 1))
        assert source.read()["train"].table["text"][:] == [text]


def test_a_changed_file_is_read_anew(tmp_path: Path):
    assert read(tmp_path, "a.tsv", "text\tlabel\na\tb\n")["text"] == ["a"]
    assert read(tmp_path, "a.tsv", "text\tlabel\nsomething else\tb\n")["text"] == ["something else"]
