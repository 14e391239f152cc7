"""Questions for text that has none, for a teacher to answer: nobody else knows the answers, and nobody need.

Two kinds. A sentence asks and the rest of its passage answers: the inverse cloze task (Lee, Chang and Toutanova 2019,
arXiv 1906.00300, section 3), which teaches what belongs together. A number, a name or a thing is taken out of a
sentence, a question word takes its place, and the whole passage answers: a noisy cloze (Lewis, Denoyer and Riedel 2019,
arXiv 1906.04980, section 2.3), which is nearer to what people ask.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from edgedistil.hashing import example_id

_END = re.compile(r"(?<=[.!?])(?:\s|<br\s*/?>)+(?=[A-Z\"'])")
_FEWEST_WORDS = 4
# Of a passage; more would say the same again.
_MOST_CLOZES = 4
# What is taken out, and the words that may ask for it; the first that matches counts.
_KINDS = (
    (re.compile(r"\b(?:1\d{3}|20\d{2})\b"), ("when", "in what year")),
    (re.compile(r"[$£€]\s?\d[\d,.]*\d(?:\s(?:million|billion))?|\d[\d,.]*\s?(?:%|percent)"), ("how much",)),
    (re.compile(r"\b\d[\d,.]*\d\b|\b\d\b"), ("how many",)),
    (re.compile(r"(?<=\s)[A-Z][\w'’-]+(?:\s(?:of\s|the\s|and\s)?[A-Z][\w'’-]+)*"), ("who", "what", "where")),
    (re.compile(r"(?<=\b[Tt]he\s)[a-z]+(?:\s[a-z]+)?|(?<=\b[Aa]\s)[a-z]+|(?<=\b[Aa]n\s)[a-z]+"), ("what",)),
)
_CLAUSE = re.compile(r"[,;:()]|\s[-–—]\s")
_DROPPED = 0.1  # of the words: word for word, a question would be found by its letters


def sentences_of(text: str) -> list[str]:
    """Returns a text's sentences: split where an end is followed by a capital, line breaks of HTML between them."""
    return [part for part in _END.split(text) if part.strip()]


def ask(text: str, most_words: int) -> list[tuple[str, str]]:
    """Returns questions with their passages; the same ones for the same text.

    Args:
        text: The passage.
        most_words: Longest question.

    Returns:
        A sentence with the passage without it, where there is one of fitting length beside others; then clozes with
        the whole passage. Empty where no sentence will do.
    """
    sentences = sentences_of(text)
    fit = [number for number, part in enumerate(sentences) if _FEWEST_WORDS <= len(part.split()) <= most_words]
    asked = []
    if len(sentences) > 1 and fit:
        # The nearest to the middle leaves text on both sides of the gap.
        chosen = min(fit, key=lambda number: abs(2 * number + 1 - len(sentences)))
        rest = " ".join(part for number, part in enumerate(sentences) if number != chosen)
        asked.append((sentences[chosen], rest))
    whole = " ".join(sentences)
    order = random.Random(example_id(text))  # noqa: S311 - an order, not a secret
    order.shuffle(sentences)
    clozes = (question for part in sentences for question in _clozes(part, most_words, order))
    asked += [(question, whole) for question, _ in zip(clozes, range(_MOST_CLOZES), strict=False)]
    return asked


def _clozes(sentence: str, most_words: int, order: random.Random) -> Iterator[str]:
    """Yields a question from a sentence, if something in it can be asked for."""
    for pattern, words in _KINDS:
        found = list(pattern.finditer(sentence))
        if not found:
            continue
        taken = order.choice(found)
        kept = [word for word in _around(sentence, *taken.span(), most_words) if order.random() >= _DROPPED]
        if len(kept) >= _FEWEST_WORDS - 1:
            yield f"{order.choice(words).capitalize()} {' '.join(kept)}?"
        return


def _around(sentence: str, start: int, end: int, most_words: int) -> list[str]:
    """Returns the words of the clause about a place, without it; of the sentence where the clause is too short."""
    edges = [0, *(edge for match in _CLAUSE.finditer(sentence) for edge in match.span()), len(sentence)]
    left = max(edge for edge in edges if edge <= start)
    right = min(edge for edge in edges if edge >= end)
    for low, high in ((left, right), (0, len(sentence))):
        before, after = (re.findall(r"[\w'’%$-]+", part) for part in (sentence[low:start], sentence[end:high]))
        if len(before) + len(after) >= _FEWEST_WORDS:
            break
    spare = max(0, most_words - 3)  # what the question words take
    left = min(len(before), spare // 2)
    return [*before[len(before) - left :], *after[: spare - left]]
