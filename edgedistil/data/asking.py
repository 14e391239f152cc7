"""Questions for text that has none: a sentence of a passage asks, the rest of the passage answers.

The inverse cloze task (Lee, Chang and Toutanova 2019, arXiv 1906.00300, section 3): what a teacher reads out of such a
pair teaches a student to read, though nobody knows the answer.
"""

from __future__ import annotations

import re

_END = re.compile(r"(?<=[.!?])(?:\s|<br\s*/?>)+(?=[A-Z\"'])")
_FEWEST_WORDS = 4


def ask(text: str, most_words: int) -> tuple[str, str] | None:
    """Returns a sentence of a passage and the passage without it; None where no sentence will do.

    Of the sentences that are neither too short nor too long it is the one nearest the middle, so that there is text on
    both sides of the gap.

    Args:
        text: The passage.
        most_words: Longest sentence that may ask.
    """
    sentences = [part for part in _END.split(text) if part.strip()]
    fit = [number for number, part in enumerate(sentences) if _FEWEST_WORDS <= len(part.split()) <= most_words]
    if len(sentences) < 2 or not fit:
        return None
    chosen = min(fit, key=lambda number: abs(2 * number + 1 - len(sentences)))
    rest = " ".join(part for number, part in enumerate(sentences) if number != chosen)
    return sentences[chosen], rest
