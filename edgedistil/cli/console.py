"""The console that tables are printed on."""

from __future__ import annotations

import os

from rich.console import Console

_PIPE_WIDTH = 110


def open_console() -> Console:
    """Returns a console as wide as the terminal; in a pipe, which has no width, wide enough for every table.

    It shows texts as they are: what stands in brackets, as in an error of a library, is no style.
    """
    console = Console(markup=False)
    if console.is_terminal or os.environ.get("COLUMNS"):
        return console
    return Console(width=_PIPE_WIDTH, markup=False)
