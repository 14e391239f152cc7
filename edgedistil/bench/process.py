"""The commanding end of a worker process."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from edgedistil.bench.cases import Case
from edgedistil.bench.transport import LocalTransport, Transport
from edgedistil.errors import EdgeDistilError

_GRACE_SECONDS = 5.0
_CURES = {
    signal.SIGILL: "its runtime was built for a newer processor; install one for this device",
    signal.SIGKILL: "it was killed, most often for want of memory; bench fewer files at once or free some",
    signal.SIGSEGV: "its runtime crashed; try another version of it, or export the file again",
}
_ODD_DEATH = "try another version of its runtime, or export the file again"


class CaseError(EdgeDistilError):
    """A file that could not be measured as it was to be run.

    Args:
        what: What is wrong.
        case: The file and how to run it.
        cure: What to do about it.
        refused: Whether that is the file's own doing: its runtime cannot load it, or it gives no answer to be used.
    """

    def __init__(self, what: str, *, case: Case, cure: str | None = None, refused: bool = False) -> None:
        self.case, self.refused = case, refused
        super().__init__(what, where=f"{case.name} ({case.path})", cure=cure)


class WorkerProcess:
    """One fresh process for one file; a context manager that leaves none behind.

    Args:
        case: The file and how to run it.
        timeout_seconds: A worker silent for so long is given up.
        transport: Where it runs; this machine for None.

    Raises:
        EdgeDistilError: When the process cannot be started.
    """

    def __init__(self, case: Case, timeout_seconds: float = 600.0, transport: Transport | None = None) -> None:
        self.case = case
        self.transport = transport or LocalTransport()
        self._timeout = timeout_seconds
        self._rest = b""
        self._writing = threading.Lock()
        self._over = threading.Event()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115, closed with the process
        command = self.transport.command(case)
        try:
            self._process = subprocess.Popen(
                command.arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=command.environment,
                bufsize=0,
                # A terminal's Ctrl-C is for the bench to act on; a link it ended itself could not be told from a break.
                start_new_session=not self.transport.is_local,
            )
        except OSError as error:
            self._stderr.close()
            raise self._error(f"no worker could be started ({error})", "free memory or processes") from error
        if self.transport.heartbeat_seconds:
            threading.Thread(target=self._beat, args=(self.transport.heartbeat_seconds,), daemon=True).start()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def ask(self, command: str, on_progress: Callable[[int, int], None] | None = None, **fields: Any) -> dict[str, Any]:
        """Sends one request and waits for its answer.

        Args:
            command: One of the runner's commands.
            on_progress: Told (done, total) while a slow command runs.
            **fields: The command's fields, JSON-able.

        Returns:
            The answer's fields.

        Raises:
            EdgeDistilError: When the worker answers with an error, dies or falls silent; one line that names the file.
        """
        request = json.dumps({"command": command, **fields}).encode() + b"\n"
        # A worker that is already dead is told of by the read that follows.
        with contextlib.suppress(BrokenPipeError):
            self._write(request)
        while True:
            answer = self._read(command)
            if "ok" not in answer:
                if on_progress:
                    on_progress(answer["done"], answer["total"])
                continue
            if not answer.pop("ok"):
                place = f"{self.transport.place(self.case.path)}: "
                # What the device lacks shows while loading, and is told without the file's name.
                refused = not answer.get("short") and (command != "load" or answer["error"].startswith(place))
                raise self._error(answer["error"].removeprefix(place), answer.get("cure", ""), refused=refused)
            return answer

    def _beat(self, seconds: float) -> None:
        """Sends empty lines, which a worker takes as a sign that its commander lives."""
        while not self._over.wait(seconds):
            try:
                self._write(b"\n")
            except (OSError, ValueError):
                return

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101, opened as a pipe above
        view = memoryview(data)
        with self._writing:
            while view:
                view = view[self._process.stdin.write(view) :]

    def _read(self, command: str) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101, opened as a pipe above
        stream = self._process.stdout.fileno()
        parts = [self._rest]
        deadline = time.monotonic() + self._timeout
        while b"\n" not in parts[-1]:
            ready, _, _ = select.select([stream], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                self.kill()
                raise self._error(
                    f"its worker was silent for {self._timeout:g} s while asked to '{command}'",
                    "bench it by itself, or allow more time",
                )
            chunk = os.read(stream, 1 << 20)
            if not chunk:
                raise self._death(command)
            parts.append(chunk)
        line, _, self._rest = b"".join(parts).partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            self.kill()
            raise self._error(f"its worker answered '{command}' with no JSON object", "check its worker module")
        return answer

    def _death(self, command: str) -> EdgeDistilError:
        try:
            ended = self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._error(f"its worker closed its output while asked to '{command}'", _ODD_DEATH)
        last = self._last_words()
        code = self.transport.ended(ended, last)
        if isinstance(code, EdgeDistilError):
            return code
        if code < 0:
            with contextlib.suppress(ValueError):
                number = signal.Signals(-code)
                return self._error(
                    f"its worker died of {number.name} while asked to '{command}'", _CURES.get(number, _ODD_DEATH)
                )
        return self._error(
            f"its worker exited with {code} while asked to '{command}'{f' ({last})' if last else ''}", _ODD_DEATH
        )

    def _last_words(self) -> str:
        """Returns the last line the worker wrote to standard error."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(size - 4096, 0))
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip()[:300] if lines else ""

    def _error(self, what: str, cure: str, *, refused: bool = False) -> CaseError:
        return CaseError(what, case=self.case, cure=cure, refused=refused)

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Ends the process, idle or not, and waits until it is gone."""
        self._over.set()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        except BaseException:
            self.kill()
            raise
        finally:
            self._stderr.close()
