"""A device reached through the user's own OpenSSH, such as a Raspberry Pi."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from edgedistil.bench.cases import Case
from edgedistil.bench.facts import DeviceFacts
from edgedistil.bench.scores import Examples
from edgedistil.bench.session import BenchResult, run_bench
from edgedistil.bench.settings import BenchSettings
from edgedistil.bench.transport import Command, LinkError
from edgedistil.devices.architecture import check_machine
from edgedistil.devices.link import Link
from edgedistil.devices.login import Login
from edgedistil.devices.profile import DeviceProfile, Kind, register
from edgedistil.devices.remote import Remote
from edgedistil.errors import EdgeDistilError
from edgedistil.hashing import hash_value
from edgedistil.progress import Progress

_PATIENCE_SECONDS = 60.0
_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 15.0
_MOST_DROPS = 40
_SSH_FAILED = 255


class SshProfile(DeviceProfile):
    """A device behind an `sshd`.

    Attributes:
        host: What `ssh` is told: an alias of the user's own configuration, a name or an address.
        user: Login name; the configuration's where left out.
        port: Port; the configuration's where left out.
        config: An OpenSSH configuration in place of `~/.ssh/config`; relative to the working folder.
        python: Interpreter there, `python3` where left out; the virtual environment of `devices setup` goes before it.
        folder: Where everything is put there; relative to the login's home.
        machine: What `uname -m` must say there; a device that says otherwise is refused.
        retry_seconds: A broken link is tried again for so long.
        limit_minutes: No process there lives longer.
    """

    host: str = Field(min_length=1)
    user: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    config: Path | None = None
    python: str | None = None
    folder: str = Field(default=".cache/edgedistil", min_length=1)
    machine: str | None = None
    retry_seconds: float = Field(default=300.0, ge=0)
    limit_minutes: float = Field(default=240.0, gt=0)

    @field_validator("host", "user")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        # What begins with a dash would be an option of ssh's, and some of those run commands here.
        if value is not None and (value.startswith("-") or any(character.isspace() for character in value)):
            raise ValueError("begins with a dash or holds a space")
        return value

    @field_validator("folder", "python")
    @classmethod
    def _in_home(cls, value: str | None) -> str | None:
        # Quoted, as all is that is run there, `~` would be a folder of that name; commands start in the login's home.
        if value is not None and value.startswith("-"):
            raise ValueError("begins with a dash")
        if value is None or not value.startswith("~"):
            return value
        if value != "~" and not value.startswith("~/"):
            raise ValueError("of homes only the login's own, ~, is known: give an absolute path")
        return f"./{value[2:]}"


class SshTransport:
    """Workers on a device, each the far end of an `ssh` process here.

    Args:
        profile: The device's.
        remote: Its folder.
    """

    is_local = False
    heartbeat_seconds: float | None = _PATIENCE_SECONDS / 4

    def __init__(self, profile: SshProfile, remote: Remote) -> None:
        self._profile, self._remote = profile, remote
        self._kept: set[str] = set()
        self._drops = 0
        self._lost: EdgeDistilError | None = None

    def prepare(self, cases: Sequence[Case], files: Sequence[Path], progress: Progress) -> None:
        """Copies the cases' files, and those beside, that are not there yet, to a device that will do."""
        wanted = list(dict.fromkeys([*(case.path for case in cases), *files]))
        self._remote.bring(wanted, progress, self._judge)

    def _judge(self, seen: dict[str, Any]) -> None:
        check_python(seen, self._profile)
        check_machine(seen, self._profile)

    def command(self, case: Case) -> Command:
        """Returns an `ssh` that starts the runner under the device's own time limit, where it has `timeout`."""
        limit = f"timeout -k 5 {self._profile.limit_minutes * 60:.0f}"
        threads = f"OMP_NUM_THREADS={case.threads} OPENBLAS_NUM_THREADS={case.threads}"
        guard = f'T="{limit}"; command -v timeout >/dev/null 2>&1 || T=; export {threads}; '
        script = guard + self._remote.start(f"--patience {_PATIENCE_SECONDS:g}", "$T")
        return Command(self._remote.link.arguments(script), dict(os.environ))

    def place(self, path: Path) -> str:
        """Returns where a file lies there."""
        return self._remote.place(path)

    def keep(self, case: Case, version: str, tokens: Path, batch: int) -> str | None:
        """Returns the file that keeps an evaluation, named by all that its answer depends on."""
        facts = {
            "file": self._remote.hash_of(case.path),
            "tokens": self._remote.hash_of(tokens),
            "runner": self._remote.runner,
            "case": [case.runtime, version, case.threads, case.sequence_length, batch],
        }
        place = f"{self._remote.folder}/kept/{hash_value(facts)[:32]}.json"
        self._kept.add(place)
        return place

    def ended(self, code: int, words: str) -> int | EdgeDistilError:
        """Tells the worker's end from the link's; a shell gives a death by signal as 128 and the signal."""
        link = self._remote.link
        if code in {0, _SSH_FAILED} or code < 0:
            return link.fault(words)
        if code == 124:
            return EdgeDistilError(
                f"its worker lived for {self._profile.limit_minutes:g} minutes and was ended there",
                where=link.where,
                cure="bench fewer files at once, or raise 'limit_minutes' in its profile",
            )
        return 128 - code if code > 128 else code

    def reconnect(self, error: EdgeDistilError, progress: Progress) -> None:
        """Logs in again, trying for as long as the profile says."""
        self._drops += 1
        if self._drops > _MOST_DROPS and self._lost is None:
            self._lost = EdgeDistilError(
                f"the link dropped {self._drops} times", where=self._remote.link.where, cure="use a cable"
            )
        if self._lost is not None:
            raise self._lost
        progress.say(f"edgedistil: {error.where}: {error.what}; trying again")
        end, wait = time.monotonic() + self._profile.retry_seconds, _FIRST_WAIT_SECONDS
        while True:
            try:
                self._remote.link.connect()
                return
            except LinkError as again:
                if time.monotonic() >= end:
                    self._lost = EdgeDistilError(again.what, where=again.where, cure=again.cure)
                    raise self._lost from again
            time.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    def finish(self) -> None:
        """Removes the kept evaluations."""
        self._remote.forget(sorted(self._kept))


class SshDevice:
    """A device behind an `sshd`.

    Args:
        profile: A profile of kind `ssh`.
    """

    def __init__(self, profile: SshProfile) -> None:
        self.profile = profile

    def remote(self) -> Remote:
        """Opens a link of its own; whoever asks closes it (`remote().link.close()`)."""
        profile = self.profile
        config = profile.config.expanduser() if profile.config else None
        login = Login(profile.host, profile.user, profile.port, config)
        return Remote(Link(profile.name, login), profile.folder, profile.python)

    @cached_property
    def _seen(self) -> dict[str, Any]:
        remote = self.remote()
        with remote.link:
            return remote.inspect()

    @property
    def threads(self) -> int:
        """Threads an inference may use: the profile's, else all the cores the device has."""
        return self.profile.threads or self.facts().cores

    def facts(self) -> DeviceFacts:
        """Returns what kind of device it is, as it says itself.

        Raises:
            EdgeDistilError: When it cannot be reached, or has no Python that is new enough.
        """
        check_python(self._seen, self.profile)
        return DeviceFacts.model_validate(self._seen["facts"])

    def bench(
        self,
        cases: Sequence[Case],
        examples: Examples | None,
        settings: BenchSettings | None = None,
        progress: Progress | None = None,
    ) -> BenchResult:
        """Measures the cases whose runtime the profile names; what needs a worker of the host's cannot run there."""
        taken = [case for case in cases if case.runtime in self.profile.runtimes and not case.brings_worker]
        cannot = [case for case in cases if case.brings_worker]
        remote = self.remote()
        with remote.link:
            # A device that is not there from the start is not waited for.
            remote.link.connect()
            result = run_bench(taken, examples, settings, progress, SshTransport(self.profile, remote))
        left_out = {
            case.name: EdgeDistilError(
                f"{case.runtime} runs on this machine alone", where=self.profile.name, cure="bench an exported file"
            )
            for case in cannot
        }
        return BenchResult(result.measurements, {**result.failures, **left_out})


def check_python(seen: dict[str, Any], profile: DeviceProfile) -> None:
    """Checks that the runner could tell everything.

    Raises:
        EdgeDistilError: When the device's Python is too old.
    """
    if "facts" not in seen:
        raise EdgeDistilError(
            f"its Python is {seen['python']}, too old",
            where=profile.name,
            cure="install Python >= 3.9 there, or name one with 'python' in its profile",
        )


register("ssh", Kind(SshProfile, SshDevice))
