"""What is taken out of sentences, and how it is asked for."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistil.data.clozes import Gap, gaps, names_in, question

SENTENCE = (
    "In 1969 the crew of Apollo walked on the bright Moon for $28 billion, and Tesla counted 36 grey rocks there."
)


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        (SENTENCE, {"1969": "date", "crew": "thing", "Apollo": "name", "$28 billion": "amount", "36": "amount"}),
        ("He died on 7 January 1943, alone.", {"7 January 1943": "date"}),
        ("It fell by 4.5 percent in May 1990.", {"4.5 percent": "amount", "May 1990": "date"}),
        ("The United States of America bought it.", {"United States of America": "name"}),
        ("They named the unit of magnetic flux after him.", {"unit": "thing"}),
        ("The old bridge was quickly repaired by its last owner.", {"old bridge": "thing", "last owner": "thing"}),
        ("I think It is so.", {}),
        ("", {}),
    ],
)
def test_dates_amounts_names_and_noun_phrases_are_found(sentence: str, found: dict[str, str]):
    made = {sentence[gap.start : gap.end]: gap.kind for gap in gaps(sentence)}
    assert found.items() <= made.items()
    assert bool(found) == bool(made)


def test_a_sentence_s_first_word_is_a_name_where_it_is_one_elsewhere():
    names = names_in("In 1886 Tesla left. Later he met Edison.")
    assert names == {"Tesla", "Edison"}
    assert not gaps("Tesla left.")
    (gap,) = gaps("Tesla left.", names)
    assert (gap.start, gap.end, gap.kind) == (0, 5, "name")


@pytest.mark.parametrize(
    ("taken", "begins"),
    [
        ("1969", ("When ", "In what year ", "What year ")),
        ("36", ("How many grey ",)),
        ("$28 billion", ("How much ", "How many ")),
        ("Apollo", ("Who ", "What ", "Which ")),
        ("crew", ("What ",)),
    ],
)
def test_the_question_word_follows_what_is_asked_for(taken: str, begins: tuple[str, ...]):
    (gap,) = (gap for gap in gaps(SENTENCE) if SENTENCE[gap.start : gap.end] == taken)
    for seed in range(20):
        asked = question(SENTENCE, gap, 20, random.Random(seed))
        assert asked is None or (asked.startswith(begins) and asked.endswith("?") and taken not in asked)


def test_what_is_asked_for_after_a_preposition_takes_it_along():
    sentence = "The first patents were bought by Westinghouse in London."
    for taken, preposition, begins in (("Westinghouse", "by", "By whom "), ("London", "in", "Where ")):
        start = sentence.index(taken)
        gap = Gap(start, start + len(taken), "name")
        made = [question(sentence, gap, 20, random.Random(seed)) or "" for seed in range(30)]
        asked = [text for text in made if text.startswith(begins)]
        assert asked
        assert not any(preposition in text.strip("?").split() for text in asked)


def test_too_little_is_not_asked_about():
    (gap,) = gaps("Buy the house.")
    assert question("Buy the house.", gap, 20, random.Random(0)) is None


@given(st.text(alphabet="abcTIx .,!?AB19%$'-", max_size=120), st.integers(2, 30), st.integers(0, 5))
def test_no_gap_overlaps_another_and_no_question_is_too_long(sentence: str, most: int, seed: int):
    found = sorted(gaps(sentence, names_in(sentence)), key=lambda gap: gap.start)
    for gap, following in itertools.pairwise(found):
        assert gap.end <= following.start
    for gap in found:
        assert sentence[gap.start : gap.end].strip() == sentence[gap.start : gap.end] != ""
        asked = question(sentence, gap, most, random.Random(seed))
        assert asked is None or len(asked.split()) <= most
