from __future__ import annotations

import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistil.data.sources import movie_reviews, open_source
from edgedistil.data.sources.movie_reviews import parse_ratings, split_by_hash
from edgedistil.errors import EdgeDistilError
from edgedistil.recipe import Workspace
from edgedistil.recipe.schema import Data

LINES = [
    "1\t2.5\ta fine film",
    "2\t-1.0\ta dull film",
    "3\t0.49\tundecided",
    "4\t-0.4\tundecided as well",
    "5\t0.5\tjust good enough",
    "6\t-0.5\tjust bad enough",
    "7\t-3.0\ta fine film",
    "8\t3.0\t   ",
    "9\t1.5\ta tab\tinside",
]
ROWS = [("good" if number % 4 else "bad", f"sentence {number}") for number in range(400)]
PAIRS = [(text, label) for label, text in ROWS]


def test_the_label_is_the_sign_of_a_decided_rating_and_a_sentence_counts_once():
    assert parse_ratings("\n".join(LINES) + "\n") == [
        ("a fine film", "positive"),
        ("a dull film", "negative"),
        ("just good enough", "positive"),
        ("just bad enough", "negative"),
        ("a tab\tinside", "positive"),
    ]


def test_each_label_is_split_in_the_same_shares():
    counts = Counter((label, split) for _, label, split in split_by_hash(PAIRS))
    assert counts == {
        ("good", "train"): 240,
        ("good", "dev"): 30,
        ("good", "test"): 30,
        ("bad", "train"): 80,
        ("bad", "dev"): 10,
        ("bad", "test"): 10,
    }


def test_every_row_is_in_one_split_whatever_the_order_of_the_rows():
    split = split_by_hash(PAIRS)
    assert sorted((text, label) for text, label, _ in split) == sorted(PAIRS)
    assert split_by_hash(PAIRS[::-1]) == split


def test_a_split_is_not_a_stretch_of_the_file():
    dev = [int(text.split()[1]) for text, _, split in split_by_hash(PAIRS) if split == "dev"]
    assert min(dev) < 100
    assert max(dev) > 300


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.sampled_from("ab"), min_size=1, max_size=40))
def test_shares_hold_for_any_rows(labels: dict[str, str]):
    split = split_by_hash(list(labels.items()))
    assert {text: label for text, label, _ in split} == labels
    for label in set(labels.values()):
        counts = Counter(name for _, row_label, name in split if row_label == label)
        rows = sum(counts.values())
        assert abs(counts["train"] - 0.8 * rows) < 1
        assert abs(counts["dev"] - 0.1 * rows) < 1


def packed(name: str, content: bytes) -> bytes:
    """Returns a tar.gz that holds one file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def test_the_splits_come_out_of_an_archive_within_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lines = "\n".join(f"{number}\t{2 if number % 2 else -2}\tsentence {number}" for number in range(100))
    inner = packed("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt", lines.encode())
    archive = tmp_path / "vader.tar.gz"
    archive.write_bytes(packed("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz", inner))
    monkeypatch.setattr(movie_reviews, "fetch", lambda pinned, downloads: archive)
    rows = open_source(Data(source="movie-reviews"), Workspace(tmp_path), tmp_path).read()
    assert {name: len(split.table) for name, split in rows.items()} == {"train": 80, "dev": 10, "test": 10}
    assert rows["dev"].where == "movie-reviews/dev"
    for text, label in zip(rows["train"].table["text"], rows["train"].table["label"], strict=True):
        assert label == ("positive" if int(text.split()[1]) % 2 else "negative")


@pytest.mark.parametrize("content", [packed("something/else", b""), b"no archive"], ids=["another file", "no archive"])
def test_an_archive_that_holds_something_else_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
):
    archive = tmp_path / "vader.tar.gz"
    archive.write_bytes(content)
    monkeypatch.setattr(movie_reviews, "fetch", lambda pinned, downloads: archive)
    with pytest.raises(EdgeDistilError) as caught:
        open_source(Data(source="movie-reviews"), Workspace(tmp_path), tmp_path).read()
    assert caught.value.line().startswith(f"{archive}: cannot unpack the reviews (")
