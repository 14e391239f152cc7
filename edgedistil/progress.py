"""Progress bars with an ETA on a terminal, silence in a pipe."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


class Bar(Protocol):
    """One bar, while its work runs."""

    def advance(self, amount: float = 1) -> None:
        """Moves the bar on by `amount` units of work."""

    def describe(self, text: str) -> None:
        """Replaces the words beside the bar."""


class Progress(Protocol):
    """Where long work reports how far it has come."""

    def bar(self, description: str, total: float) -> AbstractContextManager[Bar]:
        """Opens a bar over `total` units of work."""

    def say(self, line: str) -> None:
        """Prints one line above the bars."""


class _SilentBar:
    def advance(self, amount: float = 1) -> None:
        """Does nothing."""

    def describe(self, text: str) -> None:
        """Does nothing."""


class SilentProgress:
    """Reports nothing; what tests and library callers use."""

    @contextmanager
    def bar(self, description: str, total: float) -> Iterator[Bar]:
        """Opens a bar that shows nothing."""
        del description, total
        yield _SilentBar()

    def say(self, line: str) -> None:
        """Prints nothing."""


class _RichBar:
    def __init__(self, progress: RichProgress, description: str, total: float) -> None:
        self._progress = progress
        self._task = progress.add_task(description, total=total)

    def advance(self, amount: float = 1) -> None:
        self._progress.advance(self._task, amount)

    def describe(self, text: str) -> None:
        self._progress.update(self._task, description=text)


class TerminalProgress:
    """Bars with ETA on standard error; lines only, where standard error is not a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=_own_stderr())

    @contextmanager
    def bar(self, description: str, total: float) -> Iterator[Bar]:
        """Opens a bar over `total` units of work, with elapsed and remaining time."""
        if not self._console.is_terminal:
            yield _SilentBar()
            return
        columns = (
            TextColumn("  {task.description:<34}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
        )
        with RichProgress(*columns, console=self._console, transient=True) as progress:
            yield _RichBar(progress, description, total)

    def say(self, line: str) -> None:
        """Prints one line on standard error."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _own_stderr() -> TextIO:
    """Returns standard error by a descriptor of our own: bars go on while native libraries' chatter is muted."""
    try:
        return os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8", errors="replace", buffering=1)
    except (OSError, io.UnsupportedOperation, ValueError):
        return sys.stderr
