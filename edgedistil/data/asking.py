"""Questions for text that has none. Where the text itself knows the answer it is kept; a teacher answers the others.

Two kinds. A sentence asks and the rest of its passage answers: the inverse cloze task (Lee, Chang and Toutanova 2019,
arXiv 1906.00300, section 3), which teaches what belongs together; where in the passage, nobody knows. A number, a name
or a thing is taken out of a sentence, a question word takes its place, and the whole passage answers: a noisy cloze
(Lewis, Denoyer and Riedel 2019, arXiv 1906.04980, section 2.3), which is nearer to what people ask, and what was taken
out is its answer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from edgedistil.data.clozes import gaps, names_in, question
from edgedistil.hashing import example_id

_END = re.compile(r"(?<=[.!?])(?:\s|<br\s*/?>)+(?=[A-Z\"'])")
_FEWEST_WORDS = 4
# Of a passage; more would say the same again.
_MOST_CLOZES = 8


@dataclass(frozen=True)
class Question:
    """A question about a passage.

    Attributes:
        text: The question.
        passage: What answers it.
        answer: Where the answer stands in the passage, [first character, behind the last]; None where nobody knows.
    """

    text: str
    passage: str
    answer: tuple[int, int] | None = None


def sentences_of(text: str) -> list[str]:
    """Returns a text's sentences: split where an end is followed by a capital, line breaks of HTML between them."""
    return [part for part in _END.split(text) if part.strip()]


def ask(text: str, most_words: int) -> list[Question]:
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
        asked.append(Question(sentences[chosen], rest))
    whole = " ".join(sentences)
    begins = [sum(len(part) + 1 for part in sentences[:number]) for number in range(len(sentences))]
    order = random.Random(example_id(text))  # noqa: S311 - an order, not a secret
    placed = list(zip(begins, sentences, strict=True))
    order.shuffle(placed)
    clozes = _clozes(placed, names_in(whole), most_words, order)
    asked += [Question(text, whole, answer) for text, answer in islice(clozes, _MOST_CLOZES)]
    return asked


def _clozes(
    placed: Sequence[tuple[int, str]], names: frozenset[str], most_words: int, order: random.Random
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yields questions with their answers' places: one a sentence, then a second one each, and so on."""
    left = [(begin, sentence, gaps(sentence, names)) for begin, sentence in placed]
    for *_, found in left:
        order.shuffle(found)
    while left:
        for begin, sentence, found in left:
            text = question(sentence, gap, most_words, order) if (gap := found.pop() if found else None) else None
            if text and gap:
                yield text, (begin + gap.start, begin + gap.end)
        left = [part for part in left if part[2]]
