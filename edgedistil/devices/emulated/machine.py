"""An emulated Raspberry Pi behind a real sshd, up for as long as a `with` block lasts."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgedistil.devices.emulated import root as file_system
from edgedistil.devices.emulated import server
from edgedistil.devices.emulated.boards import Board, board_of
from edgedistil.errors import EdgeDistilError
from edgedistil.progress import Progress


@dataclass(frozen=True)
class EmulatedPi:
    """A device that is up.

    Attributes:
        board: What it plays.
        alias: Its name in `ssh_config`.
        host: Where its sshd listens.
        port: On this port.
        user: Who may log in.
        key: With this private key.
        known_hosts: Its host key.
        ssh_config: An OpenSSH client configuration with all of these: `ssh -F SSH_CONFIG ALIAS` is the device.
        python: Its Python, which has numpy and the runtimes.
        runtimes: The runtimes it has.
        root: Its file system as seen from here, which nothing may write to.
    """

    board: Board
    alias: str
    host: str
    port: int
    user: str
    key: Path
    known_hosts: Path
    ssh_config: Path
    python: str
    runtimes: tuple[str, ...]
    root: Path


def unavailable() -> str | None:
    """Returns in one line why no device can be emulated here, None where nothing is known to stand in the way."""
    return file_system.missing() or server.missing()


@contextlib.contextmanager
def bring_up(cpu: str, cache: Path | None = None, progress: Progress | None = None) -> Iterator[EmulatedPi]:
    """Brings up an emulated Raspberry Pi; whatever happens in the block, nothing of it is left afterwards.

    Every process on the device is in a process namespace that ends with its sshd, and every mount in a mount namespace
    that ends with its last process. Both end with this process too, even when it is killed; bring a device up in the
    thread that lives longest, for the kernel takes the end of the starting thread for the end of its process.

    Args:
        cpu: Its processor: `cortex-a53` (Pi Zero 2 W), `cortex-a72` (Pi 4) or `cortex-a76` (Pi 5).
        cache: Where its file system is kept from one time to the next; EDGEDISTIL_CACHE's `emulated/` for None.
        progress: Told when a file system has to be made.

    Yields:
        The device, answering.

    Raises:
        UsageError: When no board has that processor.
        EdgeDistilError: When it cannot be brought up here; one line that says why.
    """
    board = board_of(cpu)
    reason = unavailable()
    if reason:
        raise EdgeDistilError(reason)
    root = file_system.prepare_root(cache, progress)
    alias = f"emulated-{cpu}"
    folder = Path(tempfile.mkdtemp(prefix="edgedistil-"))
    try:
        running = server.start(root, board, alias, folder)
        try:
            yield EmulatedPi(
                board=board,
                alias=alias,
                host=server.HOST,
                port=running.port,
                user=file_system.USER,
                key=running.key,
                known_hosts=running.known_hosts,
                ssh_config=running.config,
                python=file_system.PYTHON,
                runtimes=("onnxruntime", "litert"),
                root=root,
            )
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
