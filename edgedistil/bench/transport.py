"""Where workers run and how they are reached: this machine here, others in `edgedistil.devices`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import edgedistil
from edgedistil.bench.cases import Case
from edgedistil.errors import EdgeDistilError
from edgedistil.progress import Progress


class LinkError(EdgeDistilError):
    """The link to a device broke; what was asked may be asked again once `Transport.reconnect` has returned."""


@dataclass(frozen=True)
class Command:
    """How a worker is started.

    Attributes:
        arguments: Of the local process whose standard streams are the worker's.
        environment: Of that process.
    """

    arguments: Sequence[str]
    environment: dict[str, str]


class Transport(Protocol):
    """A machine that workers can be started on.

    Attributes:
        heartbeat_seconds: A worker ends unless it hears something so often; None where its standard input ends with
            whoever commands it.
        is_local: Whether it is this machine, so that what is measured here besides the files is that device's too.
    """

    heartbeat_seconds: float | None
    is_local: bool

    def prepare(self, cases: Sequence[Case], files: Sequence[Path], progress: Progress) -> None:
        """Brings there whatever the cases need, the files named beside; told again, does what is still missing.

        Raises:
            LinkError: When the link broke meanwhile.
            EdgeDistilError: When the machine cannot take them.
        """

    def command(self, case: Case) -> Command:
        """Returns how a case's worker is started."""

    def place(self, path: Path) -> str:
        """Returns where a file of this machine lies there."""

    def keep(self, case: Case, version: str, tokens: Path, batch: int) -> str | None:
        """Returns the file there in which an evaluation outlives a broken link; None where no link can break.

        Args:
            case: The file.
            version: Of its runtime there.
            tokens: The evaluation set.
            batch: Examples a call.
        """

    def ended(self, code: int, words: str) -> int | EdgeDistilError:
        """Explains the end of a worker's local process.

        Args:
            code: How it ended, negative for a signal.
            words: The last it wrote to standard error.

        Returns:
            How the worker itself ended, negative for a signal; or the error, where it was not the worker's doing.
        """

    def reconnect(self, error: EdgeDistilError, progress: Progress) -> None:
        """Waits until a broken link is back.

        Raises:
            EdgeDistilError: When it does not come back.
        """

    def finish(self) -> None:
        """Takes away what only this bench needed, after it has ended well."""


def local_environment(threads: int) -> dict[str, str]:
    """Returns a local worker's environment: this very package, whatever the folder, and no hidden thread pools."""
    root = str(Path(edgedistil.__file__).resolve().parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
    }


class LocalTransport:
    """Workers as child processes on this machine."""

    heartbeat_seconds: float | None = None
    is_local = True

    def prepare(self, cases: Sequence[Case], files: Sequence[Path], progress: Progress) -> None:
        """Does nothing: all is here."""

    def command(self, case: Case) -> Command:
        """Returns this Python with the case's worker module."""
        return Command([sys.executable, "-m", case.worker_module], local_environment(case.threads))

    def place(self, path: Path) -> str:
        """Returns the path itself, absolute."""
        return str(path.resolve())

    def keep(self, case: Case, version: str, tokens: Path, batch: int) -> str | None:
        """Returns None: there is no link."""
        del case, version, tokens, batch
        return None

    def ended(self, code: int, words: str) -> int | EdgeDistilError:
        """Returns the code: the process is the worker."""
        del words
        return code

    def reconnect(self, error: EdgeDistilError, progress: Progress) -> None:
        """Raises the error: there is no link that could come back."""
        del progress
        raise error

    def finish(self) -> None:
        """Does nothing."""
