"""Clozes that ask: something is taken out of a sentence, and a question word stands for it.

After Lewis, Denoyer and Riedel 2019 (arXiv 1906.04980, sections 2.2 and 2.3): answers are dates, amounts, names and
noun phrases; the question word follows the answer's kind and the words around the gap; some words are dropped. No
parser is needed: a noun phrase is what stands between a determiner and the next function word.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

FEWEST_WORDS = 3
_DROPPED = 0.1  # of the words: word for word, a question would be found by its letters
_JOINED = 0.5  # of noun phrases before "of": with what follows it

_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = re.compile(
    rf"\b(?:\d{{1,2}} (?:{_MONTHS})(?: \d{{4}})?|(?:{_MONTHS}) \d{{1,2}}(?:, \d{{4}})?|(?:{_MONTHS}) \d{{4}}"
    r"|1\d{3}|20\d{2})\b"
)
_AMOUNT = re.compile(
    r"[$£€]\s?\d[\d,.]*\d(?:\s(?:million|billion))?|\b\d[\d,.]*\s?(?:%|percent\b)|\b\d[\d,.]*(?:\s(?:million|billion))?\b"
)
_NAME = re.compile(r"(?<![\w'’-])[A-Z][\w'’-]*[\w](?:\s(?:(?:of|the|and|de|von)\s)?[A-Z][\w'’-]*[\w])*(?![\w'’-])")
_WORD = re.compile(r"\d[\d,.]*\d|[\w'’%$£€-]+")
_CLAUSE = re.compile(r"[,;:()]|\s[-–—]\s")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DETERMINERS = _words("the a an his her its their this these those our some many several")
_FUNCTION = _words(
    "of in on at for to with by from and or but nor that which who whom whose when where while is are was were be been "
    "being has have had do does did will would can could may might must should not as than then so if because since "
    "after before during into onto over under between among about against through without within upon there it he she "
    "they we you i them him us me also only very such both either each any all no more most what how why"
)
_PLACES = _words("in at near from to into throughout across around")
_NOT_NAMES = _words("I I'm I've I'd I'll The This That These Those It He She They We You There A An And But")


@dataclass(frozen=True)
class Gap:
    """What is taken out of a sentence.

    Attributes:
        start: First character.
        end: Behind the last.
        kind: `date`, `amount`, `name` or `thing`.
    """

    start: int
    end: int
    kind: str


def gaps(sentence: str, known_names: frozenset[str] = frozenset()) -> list[Gap]:
    """Returns what can be taken out of a sentence, none of it twice.

    Args:
        sentence: The sentence.
        known_names: Words that begin with a capital elsewhere too: a sentence's first word may be one of them.
    """
    found = [Gap(*match.span(), "date") for match in _DATE.finditer(sentence)]
    found += [Gap(*match.span(), "amount") for match in _AMOUNT.finditer(sentence)]
    for match in _NAME.finditer(sentence):
        start, (first, *rest) = match.start(), match.group().split()
        if first in _NOT_NAMES and rest:
            start += len(first) + 1
        elif first in _NOT_NAMES or (start == 0 and not rest and first not in known_names):
            continue
        found.append(Gap(start, match.end(), "name"))
    found += [Gap(start, end, "thing") for start, end in _things(sentence)]
    kept: list[Gap] = []
    for gap in found:
        if all(gap.end <= other.start or gap.start >= other.end for other in kept):
            kept.append(gap)
    return kept


def names_in(text: str) -> frozenset[str]:
    """Returns the words that begin with a capital within a sentence."""
    return frozenset(re.findall(r"(?<=[a-z0-9,;] )[A-Z][\w'’-]+", text))


def _things(sentence: str) -> Iterator[tuple[int, int]]:
    words = list(_WORD.finditer(sentence))
    for place, word in enumerate(words[:-1]):
        if word.group().lower() not in _DETERMINERS:
            continue
        end = _phrase_end(sentence, words, place + 1)
        if end == place + 1:
            continue
        yield words[place + 1].start(), words[end - 1].end()
        if end + 2 < len(words) and words[end].group() == "of":
            further = end + 1 + (words[end + 1].group().lower() in _DETERMINERS)
            last = _phrase_end(sentence, words, further)
            if last > further:
                yield words[place + 1].start(), words[last - 1].end()


def _phrase_end(sentence: str, words: list[re.Match[str]], first: int) -> int:
    """Returns the number of the word behind a run of plain words; `first` where there is none."""
    end = first
    while end < len(words) and end - first < 4:
        word = words[end].group()
        apart = end > first and sentence[words[end - 1].end() : words[end].start()] != " "
        if apart or word.lower() in _FUNCTION or word.lower() in _DETERMINERS or not word[0].islower():
            break
        end += 1
    while end - first > 1 and words[end - 1].group().endswith(("ed", "ly")):
        end -= 1
    return end


def question(sentence: str, gap: Gap, most_words: int, order: random.Random) -> str | None:
    """Returns the question that a gap answers; None where too little would be left to ask with.

    Args:
        sentence: The sentence.
        gap: What is asked for.
        most_words: Longest question.
        order: Draws the question words, and the words that are dropped.
    """
    before, after = _around(sentence, gap, most_words)
    if gap.kind == "thing" and before and before[-1].lower() in _DETERMINERS:
        before = before[:-1]
    asking = _asking(gap.kind, before, after, order)
    kept = [word for word in [*before, *after] if order.random() >= _DROPPED]
    if len(kept) < FEWEST_WORDS:
        return None
    words = [*asking, *kept][:most_words]
    return f"{words[0].capitalize()} {' '.join(words[1:])}?"


def _asking(kind: str, before: list[str], after: list[str], order: random.Random) -> list[str]:
    """Returns the question words; what they take with them is taken out of the words around the gap."""
    preposition = before[-1].lower() if before else ""
    if kind == "date":
        if preposition in ("in", "on", "since", "by"):
            before.pop()
        asking = order.choice((["when"], ["in", "what", "year"], ["what", "year"]))
        return asking + _helper(before, order)
    if kind == "amount":
        if after and after[0].islower() and after[0] not in _FUNCTION:
            return ["how", "many", after.pop(0), *_helper(before, order)]
        return ["how", order.choice(("much", "many")), *_helper(before, order)]
    if preposition in _PLACES and kind == "name":
        before.pop()
        return [*order.choice((["where"], [preposition, "what"], ["what", "place"])), *_helper(before, order)]
    if preposition == "by":
        before.pop()
        return [*order.choice((["who"], ["by", "whom"], ["what"])), *_helper(before, order)]
    words = ("who", "what", "which") if kind == "name" else ("what",)
    return [order.choice(words), *_helper(before, order)]


def _helper(before: list[str], order: random.Random) -> list[str]:
    """Returns a helping verb, as questions have it whose subject is not asked for."""
    return order.choice(([], ["did"], ["was"], ["is"], ["does"])) if before else []


def _around(sentence: str, gap: Gap, most_words: int) -> tuple[list[str], list[str]]:
    """Returns the words of the clause about a gap, without it; of the sentence where the clause is too short."""
    edges = [0, *(edge for match in _CLAUSE.finditer(sentence) for edge in match.span()), len(sentence)]
    left = max(edge for edge in edges if edge <= gap.start)
    right = min(edge for edge in edges if edge >= gap.end)
    for low, high in ((left, right), (0, len(sentence))):
        before, after = (_WORD.findall(part) for part in (sentence[low : gap.start], sentence[gap.end : high]))
        if len(before) + len(after) > FEWEST_WORDS:
            break
    if before and before[0].lower() in _FUNCTION | _DETERMINERS:
        before[0] = before[0].lower()
    spare = max(0, most_words - 2)  # what the question words take, or more
    start = len(before) - min(len(before), max(spare // 2, spare - len(after)))
    return before[start:], after[: spare - (len(before) - start)]
