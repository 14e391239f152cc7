"""Reviews to sentences, a line each: `python benchmarks/imdb_sentences.py REVIEWS.jsonl.gz OUT.txt`.

Text for `distil.unlabelled`: sentences of 4 to 40 words, none twice, in a fixed random order.
"""

from __future__ import annotations

import argparse
import random
import re
from pathlib import Path

from edgedistil.data.plain_text import read_texts

_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'])")
_BREAK = re.compile(r"(?:<br\s*/?>\s*)+")


def sentences(review: str) -> list[str]:
    """Returns a review's sentences: split at line breaks, and at a full stop before a capital."""
    return [part.strip() for line in _BREAK.split(review) for part in _END.split(line)]


def main() -> None:
    """Writes the sentences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reviews", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=80_000)
    arguments = parser.parse_args()
    found: dict[str, None] = {}
    for review in read_texts(arguments.reviews, "text"):
        found.update((part, None) for part in sentences(review) if 4 <= len(part.split()) <= 40)
    kept = sorted(found)
    random.Random(0).shuffle(kept)  # noqa: S311 - an order, not a secret
    arguments.out.write_text("\n".join(kept[: arguments.count]) + "\n", encoding="utf-8")
    print(f"{min(arguments.count, len(kept))} of {len(kept)} sentences -> {arguments.out}")


if __name__ == "__main__":
    main()
