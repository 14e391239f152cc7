"""Several processes of one run, as `accelerate launch` starts them: one does the work, all of them train.

Only training is shared out. Every other stage is the main process's; the others wait until its result is in the cache,
which all of them must see. The launcher ends every process when one has failed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

_POLL_SECONDS = 0.2


def process_count() -> int:
    """Returns how many processes work on this run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_number() -> int:
    """Returns this process's number; the main one's is 0."""
    return int(os.environ.get("RANK", "0")) if process_count() > 1 else 0


def is_main() -> bool:
    """Returns whether this process writes results and speaks to the user."""
    return process_number() == 0


def meet() -> None:
    """Returns when every process has come here."""
    if process_count() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def wait_for(find: Callable[[], Value | None]) -> Value:
    """Returns what the main process makes, as soon as it is found."""
    while (found := find()) is None:
        time.sleep(_POLL_SECONDS)
    return found
