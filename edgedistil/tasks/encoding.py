"""Texts to token ids, the same way for training, judging and predicting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import Encoding, Tokenizer

from edgedistil.errors import UsageError

Input = str | tuple[str, str]

_LEAST_ROOM = 4


def encode_rows(tokeniser: Tokenizer, inputs: Sequence[Input], max_length: int) -> list[Encoding]:
    """Tokenises texts or pairs of texts, each cut at `max_length` tokens; of a pair, the longer side is cut.

    Args:
        tokeniser: Its truncation is set here.
        inputs: Texts or pairs.
        max_length: Longest row in tokens, special ones included.
    """
    tokeniser.enable_truncation(max_length, strategy="longest_first")
    found: list[Encoding] = tokeniser.encode_batch(list(inputs))
    return found


def encode_windows(
    tokeniser: Tokenizer, inputs: Sequence[Input], max_length: int, stride: int, names: Sequence[str]
) -> list[list[Encoding]]:
    """Tokenises questions with their contexts; a context that is too long becomes several windows.

    Args:
        tokeniser: Its truncation is set here.
        inputs: Pairs of question and context.
        max_length: Longest window in tokens, question and special ones included.
        stride: Tokens that two windows share; fewer where a long question leaves a window too little room.
        names: How an error names each input.

    Returns:
        The windows of each input, in order.

    Raises:
        UsageError: For a question that leaves no room for a context.
    """
    tokeniser.no_truncation()
    special = tokeniser.num_special_tokens_to_add(is_pair=True)
    questions = tokeniser.encode_batch([pair[0] for pair in inputs], add_special_tokens=False)
    rooms = [max_length - special - len(question.ids) for question in questions]
    for room, name in zip(rooms, names, strict=True):
        if room < _LEAST_ROOM:
            raise UsageError(
                f"the question takes {max_length - special - room} tokens and leaves no room for its context",
                where=name,
                cure=f"shorten it, or raise max_length ({max_length})",
            )
    found: list[Encoding | None] = [None] * len(inputs)
    strides = [min(stride, room // 2) for room in rooms]
    for shared in sorted(set(strides)):
        chosen = [index for index, own in enumerate(strides) if own == shared]
        tokeniser.enable_truncation(max_length, stride=shared, strategy="only_second")
        for index, encoding in zip(chosen, tokeniser.encode_batch([inputs[index] for index in chosen]), strict=True):
            found[index] = encoding
    tokeniser.no_truncation()
    return [[first, *first.overflowing] for first in found if first is not None]


def check_pairs(tokeniser: Tokenizer, where: str) -> None:
    """Checks that a tokeniser tells two texts apart.

    Raises:
        UsageError: When it puts no separator between them.
    """
    tokeniser.no_truncation()
    probe: Any = tokeniser.encode("a", "a")
    if None not in probe.sequence_ids[1:-1]:
        raise UsageError(
            "the tokeniser puts no separator between two texts",
            where=where,
            cure="name a teacher whose tokeniser has a template for pairs, as BERT's has",
        )
