"""Whether a folder that results are to go to can be made and written, asked before there are any."""

from __future__ import annotations

import os
from pathlib import Path


def fault_of(folder: Path, *, writing: bool = True) -> str | None:
    """Returns what is wrong with a folder that is there or is to be made, as a clause; None when nothing is.

    Args:
        folder: The folder.
        writing: Whether anything is to be written there.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        return "is no folder" if there == folder else f"cannot be made, as {there} is no folder"
    return "cannot be written" if writing and not os.access(there, os.W_OK | os.X_OK) else None
