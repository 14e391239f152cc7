"""The console that tables are printed on."""

from __future__ import annotations

import os

from rich.console import Console

_PIPE_WIDTH = 110


def open_console() -> Console:
    """Returns a console as wide as the terminal; in a pipe, which has no width, wide enough for every table."""
    console = Console()
    if console.is_terminal or os.environ.get("COLUMNS"):
        return console
    return Console(width=_PIPE_WIDTH)
