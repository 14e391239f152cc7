"""A connection to a device through the user's own OpenSSH: one login, many commands."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from edgedistil.devices.faults import fault
from edgedistil.devices.login import Login
from edgedistil.errors import EdgeDistilError, UsageError

_CHUNK = 1 << 18
_COMMAND_SECONDS = 300.0
_LOGIN_SECONDS = 60.0
# What a command line gives overrides the user's file, so only what would get in the way is given: no question is
# asked, a dead link is noticed within half a minute, and no forwarding or command of the host's entry is started.
# Host keys are checked as the user's own configuration says.
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "15",
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "3",
    "ClearAllForwardings": "yes",
    "RequestTTY": "no",
    "RemoteCommand": "none",
    "PermitLocalCommand": "no",
}


class RemoteError(EdgeDistilError):
    """A command that a device ran and that failed there.

    Args:
        what: What failed.
        code: Its exit code.
        words: Its standard error.
        where: The device.
        cure: What to do.
    """

    def __init__(self, what: str, *, code: int, words: str, where: str, cure: str | None = None) -> None:
        self.code, self.words = code, words
        super().__init__(what, where=where, cure=cure)


class Link:
    """A login that commands share, over a socket in a private folder.

    Args:
        device: The profile's name, for errors.
        login: Whom to log in as, and where.
    """

    def __init__(self, device: str, login: Login) -> None:
        self.device, self.login = device, login
        # Not in TMPDIR's depths: a socket's path may have 107 bytes.
        self._folder = tempfile.TemporaryDirectory(prefix="edgedistil-", dir="/tmp")
        self._base = ["ssh", "-T", *login.options]
        for name, value in {**_OPTIONS, "ControlPath": f"{self._folder.name}/link"}.items():
            self._base += ["-o", f"{name}={value}"]
        self._up = False

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def where(self) -> str:
        """The device, for errors."""
        return f"{self.device} ({self.login.host})"

    def fault(self, words: str) -> EdgeDistilError:
        """Returns what made `ssh` fail, from what it wrote to standard error."""
        return fault(words, self.device, self.login)

    def connect(self) -> None:
        """Logs in, unless that was done and still holds.

        Raises:
            UsageError: When the host is unknown, its key is not the known one, or it refuses ours.
            LinkError: When it cannot be reached.
        """
        if self._up and self._control("check"):
            return
        master = ["-o", "ControlMaster=yes", "-o", "ControlPersist=60"]
        # To a file: the login stays in the background, and would hold a pipe open.
        with tempfile.TemporaryFile() as words:
            try:
                code = subprocess.run(
                    [*self._base, *master, "-N", "-f", "--", self.login.host],
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=words,
                    timeout=_LOGIN_SECONDS,
                    start_new_session=True,
                    check=False,
                ).returncode
            except FileNotFoundError as error:
                raise UsageError("no 'ssh' on this machine", where=self.where, cure="install OpenSSH") from error
            except subprocess.TimeoutExpired:
                raise self.fault("login timed out") from None
            words.seek(0)
            said = words.read().decode("utf-8", "replace")
        if code:
            raise self.fault(said)
        self._up = True

    def arguments(self, script: str) -> list[str]:
        """Returns the local command that runs a shell script there, with its standard streams."""
        master = ["-o", "ControlMaster=no"]
        return [*self._base, *master, "--", self.login.host, f"sh -c {shlex.quote(script)}"]

    def run(self, script: str, data: bytes = b"", seconds: float = _COMMAND_SECONDS) -> bytes:
        """Runs a shell script there.

        Args:
            script: For `sh`, started in the login's home.
            data: Its standard input.
            seconds: It is given up after so long.

        Returns:
            Its standard output.

        Raises:
            RemoteError: When it fails there.
            LinkError: When the link broke.
        """
        self.connect()
        try:
            done = subprocess.run(
                self.arguments(script),
                input=data,
                capture_output=True,
                timeout=seconds,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self.fault(f"a command timed out after {seconds:g} s") from None
        self._check(done.returncode, done.stderr)
        return done.stdout

    def send(self, path: Path, script: str, offset: int = 0, tick: Callable[[int], None] | None = None) -> None:
        """Streams a file's bytes from an offset on into a shell script there.

        Args:
            path: The file here.
            script: What takes them on standard input.
            offset: Bytes to leave out at its beginning.
            tick: Told the bytes of each chunk sent.

        Raises:
            RemoteError: When it fails there.
            LinkError: When the link broke.
        """
        self.connect()
        with tempfile.TemporaryFile() as words, path.open("rb") as source:
            source.seek(offset)
            process = subprocess.Popen(
                self.arguments(script),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=words,
                start_new_session=True,
            )
            try:
                _stream(source.read, process, tick)
                code = process.wait(_COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                raise self.fault(f"copying {path.name} timed out") from None
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            words.seek(0)
            self._check(code, words.read())

    def close(self) -> None:
        """Ends the login, and with it every command that still runs over it."""
        if self._up:
            self._control("exit")
            self._up = False
        with contextlib.suppress(OSError):
            self._folder.cleanup()

    def _control(self, order: str) -> bool:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                [*self._base, "-O", order, "--", self.login.host],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=10,
                check=False,
            )
            return done.returncode == 0
        return False

    def _check(self, code: int, said: bytes) -> None:
        words = said.decode("utf-8", "replace").strip()
        if code == 255 or code < 0:
            raise self.fault(words)
        if code:
            last = words.splitlines()[-1][:300] if words else f"exit code {code}"
            raise RemoteError(f"a command failed there: {last}", code=code, words=words, where=self.where)


def _stream(read: Callable[[int], bytes], process: subprocess.Popen[bytes], tick: Callable[[int], None] | None) -> None:
    assert process.stdin is not None  # noqa: S101, opened as a pipe
    # The far end's exit code tells why it took no more.
    with contextlib.suppress(BrokenPipeError):
        while chunk := read(_CHUNK):
            process.stdin.write(chunk)
            if tick:
                tick(len(chunk))
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
