"""How much a model drops while it trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


def set_dropout(model: nn.Module, share: float) -> list[tuple[nn.Module, str, float]]:
    """Sets every dropout of a model, that of attention included; returns what there was, for `restore_dropout`.

    Args:
        model: Its attention modules hold their share as `dropout`.
        share: What is dropped, 0 for nothing.
    """
    before: list[tuple[nn.Module, str, float]] = []
    for module in model.modules():
        name = "p" if isinstance(module, nn.Dropout) else "dropout"
        value = getattr(module, name, None)
        # A configuration may say 0 as an integer.
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            before.append((module, name, value))
            setattr(module, name, share)
    return before


def restore_dropout(before: list[tuple[nn.Module, str, float]]) -> None:
    """Undoes `set_dropout`."""
    for module, name, value in before:
        setattr(module, name, value)


@contextmanager
def dropping(model: nn.Module, share: float | None) -> Iterator[None]:
    """Trains with another dropout than a model's own, for as long as the context lasts.

    Args:
        model: Changed in place.
        share: What is dropped; None for the model's own.
    """
    before = [] if share is None else set_dropout(model, share)
    try:
        yield
    finally:
        restore_dropout(before)
