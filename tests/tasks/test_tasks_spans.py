"""Spans of characters to tags of word pieces and back, in any script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from edgedistil.tasks import get_task
from edgedistil.tasks.base import Example
from edgedistil.tasks.spans import heads_by_gaps, read_tags, runs, tag_pieces, word_tags
from edgedistil.tasks.token_classification import TokenClassification

TAGS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def make_tokeniser() -> Tokenizer:
    """A BERT tokeniser that knows letters and a few pieces, and splits all else by characters or takes it whole."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters), "日", "本", "😀"]
    tokeniser = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokeniser.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokeniser.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokeniser.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokeniser


TOKENISER = make_tokeniser()
WORDS = st.lists(
    st.sampled_from(
        ["plain", "Ünïcödé", "日本語", "😀😀", "👩‍👩‍👧", "naïve", "İstanbul", "한국어", "ﬁn", "don't", "ß", "½", "Ω"]
    ),
    min_size=1,
    max_size=8,
)


@given(WORDS, st.data())
def test_marked_words_come_back_at_their_place_in_the_original_text(words: list[str], data: st.DataObject):
    text = "  ".join(words)
    marked = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    offsets, place = [], 0
    for word, chosen in zip(words, marked, strict=True):
        offsets += range(place, place + len(word)) if chosen else []
        place += len(word) + 2
    task, labels = get_task("token-classification"), ["O", "I-toxic"]
    spans = runs(offsets, "toxic")
    encoding = TOKENISER.encode(text)
    made = task.label(Example(text, None, spans, spans), encoding, labels)
    assert isinstance(task, TokenClassification)
    found = task.read([max(0, tag) for tag in made.label], made.starts, made.ends, labels)
    # Neighbours are one span, white space between them included, and its ends are those of words.
    assert {word for start, end, _ in found for word in text[start:end].split()} == {
        word for word, chosen in zip(words, marked, strict=True) if chosen
    }
    covered = {offset for start, end, _ in found for offset in range(start, end)}
    assert set(offsets) <= covered
    assert all(text[offset] == " " for offset in covered - set(offsets))


@given(st.lists(st.sampled_from(TAGS), min_size=1, max_size=12))
def test_tags_of_words_are_read_as_entities_and_put_back(tags: list[str]):
    starts = [3 * index for index in range(len(tags))]
    ends = [start + 2 for start in starts]
    spans = read_tags(tags, starts, ends)
    again = [TAGS[number] for number in tag_pieces(spans, starts, ends, TAGS)]
    assert read_tags(again, starts, ends) == spans
    assert [tag == "O" for tag in again] == [tag == "O" for tag in tags]


def test_runs_of_characters_become_spans():
    assert runs([9, 8, 10, 20, 8], "x") == [[8, 11, "x"], [20, 21, "x"]]
    assert runs([], "x") == []


def test_only_the_first_piece_of_an_entity_begins_it():
    # "New York" as Ne ##w York, then another place at once.
    starts, ends = [0, 2, 4, 9], [2, 3, 8, 14]
    tags = tag_pieces([[0, 8, "LOC"], [9, 14, "LOC"]], starts, ends, TAGS)
    assert [TAGS[tag] for tag in tags] == ["B-LOC", "I-LOC", "I-LOC", "B-LOC"]
    assert read_tags([TAGS[tag] for tag in tags], starts, ends) == [[0, 8, "LOC"], [9, 14, "LOC"]]


def test_a_word_has_the_tag_of_its_first_piece():
    heads = heads_by_gaps([0, 2, 4, 9, 11], [2, 3, 8, 11, 14])
    assert heads == [True, False, True, True, False]
    assert word_tags(["B-PER", "O", "I-PER", "O", "B-LOC"], heads) == ["B-PER", "I-PER", "I-PER", "O", "O"]


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["I-PER", "I-PER", "O"], [[0, 5, "PER"]]),
        (["B-PER", "B-PER", "I-LOC"], [[0, 2, "PER"], [3, 5, "PER"], [6, 8, "LOC"]]),
        (["O", "B-LOC", "I-PER"], [[3, 5, "LOC"], [6, 8, "PER"]]),
    ],
)
def test_an_inside_without_a_beginning_begins(tags: list[str], spans: list):
    assert read_tags(tags, [0, 3, 6], [2, 5, 8]) == spans
