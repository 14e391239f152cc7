"""What the parts of a model are called that may be left in higher precision, whatever the file.

They are `embeddings`, `layer.<n>.attention`, `layer.<n>.ffn` and `head`. A name's beginning stands for all of it:
`layer.2` is both halves of the third layer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from edgedistil.errors import UsageError, did_you_mean

EMBEDDINGS, HEAD = "embeddings", "head"


def attention_of(layer: int) -> str:
    """Returns the name of a layer's attention, layers counted from 0."""
    return f"layer.{layer}.attention"


def ffn_of(layer: int) -> str:
    """Returns the name of a layer's FFN, layers counted from 0."""
    return f"layer.{layer}.ffn"


def in_order(names: Iterable[str]) -> list[str]:
    """Returns each name once, from the model's input to its output."""

    def place(name: str) -> tuple[int, str]:
        ends = {EMBEDDINGS: -1, HEAD: 1 << 30}
        return ends[name] if name in ends else int(name.split(".")[1]), name

    return sorted(set(names), key=place)


def chosen(asked: Sequence[str], known: Collection[str]) -> list[str]:
    """Returns which of a file's layers are asked for, in order.

    Args:
        asked: Names, or their beginnings.
        known: The file's layers.

    Raises:
        UsageError: When a name is none of them.
    """
    found: list[str] = []
    for name in asked:
        matching = [layer for layer in known if layer == name or layer.startswith(f"{name}.")]
        if not matching:
            raise UsageError(f"the model has no layer '{name}' to keep", cure=did_you_mean(name, known))
        found += matching
    return in_order(found)
