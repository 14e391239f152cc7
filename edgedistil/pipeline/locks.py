"""Locks of the stage cache: on a stage that is worked on, on the cache while a run reads it, on what one does alone.

The system lets go of a lock when the process that holds it ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from edgedistil.errors import EdgeDistilError

UNUSABLE = "set EDGEDISTIL_CACHE to a folder that can be written"
"""What cures a cache's folder that cannot be used."""

_USED = "used.lock"


@contextmanager
def stage_lock(path: Path, name: str) -> Iterator[None]:
    """Holds a stage's lock, which is one run's at a time.

    Args:
        path: Its file.
        name: The stage's name.

    Raises:
        EdgeDistilError: When another run is at the same stage.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        while True:
            stream = held.enter_context(path.open("w"))
            if not _take(stream, fcntl.LOCK_EX | fcntl.LOCK_NB, path.parent):
                raise EdgeDistilError(
                    f"another run is working on stage '{name}'", where=str(path), cure="wait for it to end"
                )
            if _lies_at(path, stream):
                break
            # The lock's last holder has removed its file since it was opened: another run would lock a new one.
        yield
        path.unlink(missing_ok=True)


@contextmanager
def using(root: Path) -> Iterator[None]:
    """Keeps others from removing stages meanwhile; several runs may use a cache at once.

    Args:
        root: The cache's folder.

    Raises:
        EdgeDistilError: When the folder cannot be made or written, or its file system has no locks.
    """
    with _opened(root) as stream:
        _take(stream, fcntl.LOCK_SH, root)
        yield


@contextmanager
def removing(root: Path) -> Iterator[None]:
    """Keeps runs from starting meanwhile.

    Args:
        root: The cache's folder.

    Raises:
        EdgeDistilError: When a run uses the cache, the folder cannot be made or written, or its file system has no
            locks.
    """
    with _opened(root) as stream:
        if not _take(stream, fcntl.LOCK_EX | fcntl.LOCK_NB, root):
            raise EdgeDistilError(
                "a run is using these stages", where=str(root), cure="nothing was removed; wait for it to end"
            )
        yield


@contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Waits until no other process does the same, and keeps others from it meanwhile.

    Args:
        folder: A folder of the cache.
        what: Names the lock.

    Raises:
        EdgeDistilError: As `using`.
    """
    with _opened(folder, f"{what}.lock") as stream:
        _take(stream, fcntl.LOCK_EX, folder)
        yield


def _take(stream: TextIO, how: int, place: Path) -> bool:
    """Takes a lock; returns whether it was free, where it is not to be waited for.

    Raises:
        EdgeDistilError: When the file system has none, as some that are shared by several machines.
    """
    try:
        fcntl.flock(stream, how)
    except BlockingIOError:
        return False
    except OSError as error:
        raise EdgeDistilError(
            f"the cache's file system has no locks ({error.strerror})",
            where=str(place),
            cure="set EDGEDISTIL_CACHE to a folder on a local disk",
        ) from None
    return True


def _lies_at(path: Path, stream: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _opened(root: Path, name: str = _USED) -> TextIO:
    try:
        root.mkdir(parents=True, exist_ok=True)
        return (root / name).open("w")
    except OSError as error:
        raise EdgeDistilError(
            f"the cache's folder cannot be written ({error.strerror})",
            where=str(root),
            cure=UNUSABLE,
        ) from None
