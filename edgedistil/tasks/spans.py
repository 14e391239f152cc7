"""Spans of characters: read off offsets and word tags, put on word pieces, and read off their tags again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Span = list
"""JSON: `[start, end, label]` in characters, the end exclusive."""


def runs(offsets: Iterable[int], label: str) -> list[Span]:
    """Returns the unbroken runs of some characters, in order."""
    ordered = sorted(set(offsets))
    spans: list[Span] = []
    for offset in ordered:
        if spans and spans[-1][1] == offset:
            spans[-1][1] = offset + 1
        else:
            spans.append([offset, offset + 1, label])
    return spans


def tag_kind(tag: str) -> tuple[str, str]:
    """Splits a tag: `B-PER` into `B` and `PER`, `O` into `O` and nothing; anything else counts as inside."""
    if tag == "O":
        return "O", ""
    prefix, dash, label = tag.partition("-")
    return (prefix, label) if dash and prefix in ("B", "I") else ("I", tag)


def has_begins(tags: Iterable[str]) -> bool:
    """Tells whether a tag set marks where an entity begins (BIO), rather than only what is inside one (IO)."""
    return any(tag.startswith("B-") for tag in tags)


def read_tags(tags: Sequence[str], starts: Sequence[int], ends: Sequence[int]) -> list[Span]:
    """Joins tagged pieces into spans.

    `B` begins a span, `I` goes on with the one before it if that is of its label and begins one otherwise, as
    conlleval has it (Tjong Kim Sang and Buchholz, CoNLL-2000).

    Args:
        tags: One a piece, such as `B-PER`, `I-PER`, `O`.
        starts: Where each piece begins, in characters.
        ends: Where each ends, exclusive.
    """
    spans: list[Span] = []
    before = ""
    for tag, start, end in zip(tags, starts, ends, strict=True):
        prefix, label = tag_kind(tag)
        if prefix == "I" and label == before:
            spans[-1][1] = max(spans[-1][1], int(end))
        elif prefix != "O":
            spans.append([int(start), int(end), label])
        before = label
    return spans


def tag_pieces(spans: Sequence[Span], starts: Sequence[int], ends: Sequence[int], labels: Sequence[str]) -> list[int]:
    """Returns the number of each piece's tag: that of the span that it overlaps, or of `O`.

    Args:
        spans: In order, none overlapping another.
        starts: Where each piece begins, in characters.
        ends: Where each ends, exclusive.
        labels: Names of the tags.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    tags, waiting, begun = [], 0, -1
    for start, end in zip(starts, ends, strict=True):
        while waiting < len(spans) and spans[waiting][1] <= start:
            waiting += 1
        if waiting == len(spans) or spans[waiting][0] >= end or start == end:
            tags.append(numbers["O"])
            continue
        name = f"I-{spans[waiting][2]}"
        if begun != waiting:
            name = f"B-{spans[waiting][2]}" if f"B-{spans[waiting][2]}" in numbers else name
        begun = waiting
        tags.append(numbers[name])
    return tags


def word_tags(tags: Sequence[str], heads: Sequence[bool]) -> list[str]:
    """Gives every piece of a word the tag of the word's first piece, as entity scores are of words.

    Args:
        tags: One a piece.
        heads: Whether each piece is its word's first.
    """
    spread: list[str] = []
    for tag, head in zip(tags, heads, strict=True):
        prefix, label = tag_kind(spread[-1] if spread and not head else tag)
        whole = tag if head or not spread else ("O" if prefix == "O" else f"I-{label}")
        spread.append(whole)
    return spread


def heads_by_gaps(starts: Sequence[int], ends: Sequence[int]) -> list[bool]:
    """Tells which pieces begin a word, where words are what white space parts."""
    return [index == 0 or start > ends[index - 1] for index, start in enumerate(starts)]


def characters(spans: Iterable[Span]) -> set[tuple[int, str]]:
    """Returns every character of some spans, with its label."""
    return {(offset, label) for start, end, label in spans for offset in range(start, end)}
