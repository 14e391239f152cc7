"""Runs of one user that copy to the same device take turns: two would write the same unfinished copy, and spoil it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgedistil.hashing import hash_value
from edgedistil.progress import Progress


@contextlib.contextmanager
def turn(place: Sequence[str], device: str, progress: Progress) -> Iterator[None]:
    """Waits for its turn.

    The lock is held here and not on the device, where a link that dropped in silence would hold it for as long as
    nobody there notices, and its copy could not be taken up again.

    Args:
        place: What names the folder on the device.
        device: The profile's name.
        progress: Told when there is another run to wait for.
    """
    # Few names for all places: nothing removes the files, and two places that share one merely wait for each other.
    name = f"edgedistil-{os.getuid()}-{hash_value(list(place))[:2]}.lock"
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    lock = os.open(Path(tempfile.gettempdir()) / name, flags, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"edgedistil: another run copies to {device}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
