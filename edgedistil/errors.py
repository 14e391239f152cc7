"""The errors a user sees: one line that says what is wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable


class EdgeDistilError(Exception):
    """A failed run: what went wrong, where, and the cure, told in one line.

    Args:
        what: What is wrong, as a clause without a full stop.
        where: The file, row, key or device concerned.
        cure: What the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, cure: str | None = None) -> None:
        self.what = what
        self.where = where
        self.cure = cure
        super().__init__(self.line())

    def line(self) -> str:
        """Returns the error as one line."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.cure:
            text = f"{text}; {self.cure}"
        return " ".join(text.split())


class UsageError(EdgeDistilError):
    """Bad input: a recipe, option, file or folder that cannot be used as it is."""

    exit_code = 2


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Returns the choice most like `word`, or None when nothing is close."""
    matches = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return matches[0] if matches else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Returns a cure for an unknown name: the nearest right one, or the list of them."""
    listed = sorted(choices)
    close = nearest(word, listed)
    return f"did you mean '{close}'?" if close else f"choose one of: {', '.join(listed)}"


def require(module: str, extra: str) -> None:
    """Checks that a module of an optional extra is installed.

    Args:
        module: Top-level module name, as imported.
        extra: The extra of this package that brings it.

    Raises:
        UsageError: When the module is missing; the line names the pip command.
    """
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"{module} is not installed", cure=f"run: pip install 'edgedistil[{extra}]'")
