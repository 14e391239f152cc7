"""An emulated Raspberry Pi as a device: what it answers and how many instructions that takes, and never a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
from pydantic import field_validator

from edgedistil.bench.cases import Case
from edgedistil.bench.facts import DeviceFacts
from edgedistil.bench.instructions import Emulator, count_case
from edgedistil.bench.instructions import missing as missing_to_count
from edgedistil.bench.interleave import load_fields
from edgedistil.bench.measurement import Measurement
from edgedistil.bench.process import WorkerProcess
from edgedistil.bench.scores import Examples, Scorers, Scores
from edgedistil.bench.session import BenchResult
from edgedistil.bench.settings import BenchSettings
from edgedistil.bench.thermal import Conditions
from edgedistil.devices.emulated.boards import BOARDS, CORES
from edgedistil.devices.emulated.machine import EmulatedPi, bring_up
from edgedistil.devices.emulated.root import cache_folder
from edgedistil.devices.profile import DeviceProfile, Kind, register
from edgedistil.devices.ssh import SshDevice, SshProfile, SshTransport
from edgedistil.errors import EdgeDistilError, UsageError, did_you_mean
from edgedistil.hashing import hash_file
from edgedistil.progress import Progress, SilentProgress

# Every vocabulary has as many.
_SMALLEST_VOCABULARY = 100


class EmulatedProfile(DeviceProfile):
    """An emulated Raspberry Pi.

    Attributes:
        cpu: Its processor, by qemu's name: `cortex-a53`, `cortex-a72` or `cortex-a76`.
    """

    cpu: str

    @field_validator("cpu")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in BOARDS:
            raise ValueError(f"no board has a processor '{value}'; {did_you_mean(value, BOARDS)}")
        return value


class EmulatedDevice:
    """A device that is brought up when it is asked something, and down again when it has answered.

    Args:
        profile: A profile of kind `emulated`.
    """

    def __init__(self, profile: EmulatedProfile) -> None:
        self.profile = profile

    @property
    def threads(self) -> int:
        """Threads of an inference: one, so that instructions are the same in every run."""
        return 1

    def facts(self) -> DeviceFacts:
        """Returns what kind of device it plays, as it says itself.

        Raises:
            EdgeDistilError: When it cannot be brought up here.
        """
        with self._up(None) as (pi, device):
            return _played(device.facts(), pi)

    @contextmanager
    def _up(self, progress: Progress | None) -> Iterator[tuple[EmulatedPi, SshDevice]]:
        """Brings it up; gives it, and how to reach it."""
        with bring_up(self.profile.cpu, progress=progress) as pi:
            fields = {"name": self.profile.name, "kind": "ssh", "threads": 1, "runtimes": self.profile.runtimes}
            reached = {"host": pi.alias, "config": pi.ssh_config, "python": pi.python, "machine": "aarch64"}
            yield pi, SshDevice(SshProfile.model_validate({**fields, **reached}))

    def bench(
        self,
        cases: Sequence[Case],
        examples: Examples | None,
        settings: BenchSettings | None = None,
        progress: Progress | None = None,
    ) -> BenchResult:
        """Scores the cases' files there, through ssh, and counts the instructions of one inference of each.

        Nothing is timed. Where qemu cannot count, the records say nothing of instructions, and it is said why.

        Raises:
            UsageError: When no case is for a runtime that the profile names.
            EdgeDistilError: When the device cannot be brought up here.
        """
        progress, settings = progress or SilentProgress(), settings or BenchSettings()
        taken = [case for case in cases if case.runtime in self.profile.runtimes and not case.brings_worker]
        if not taken:
            raise UsageError("nothing to bench", where=self.profile.name, cure="name an exported file")
        reason = missing_to_count()
        if reason:
            progress.say(f"edgedistil: instructions left out: {reason}")
        scorers = Scorers(examples)
        made: list[Measurement] = []
        failures: dict[str, EdgeDistilError] = {}
        with self._up(progress) as (pi, device), (remote := device.remote()).link:
            remote.link.connect()
            visit = _Visit(pi, SshTransport(device.profile, remote), scorers, settings, counts=reason is None)
            visit.transport.prepare(taken, scorers.files(case.examples for case in taken), progress)
            with progress.bar(f"emulating {pi.board.name}", len(taken)) as bar:
                for case in taken:
                    bar.describe(f"emulating {case.name}")
                    try:
                        made.append(visit.measure(replace(case, threads=1)))
                    except EdgeDistilError as error:
                        failures[case.name] = error
                    bar.advance(1)
        return BenchResult(made, failures)


class _Visit:
    """The device while it is up, and what its files are held to."""

    def __init__(
        self, pi: EmulatedPi, transport: SshTransport, scorers: Scorers, settings: BenchSettings, *, counts: bool
    ) -> None:
        self._pi, self.transport, self._scorers, self._settings = pi, transport, scorers, settings
        self._counts = counts
        self._emulator = Emulator(pi.root, pi.board.cpu, pi.board.cpuinfo)

    def measure(self, case: Case) -> Measurement:
        """Scores a file and counts its instructions."""
        if case.batch != 1:
            raise UsageError("an emulated device runs single inferences", where=case.name, cure="leave the batch at 1")
        started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with WorkerProcess(case, self._settings.timeout_seconds, self.transport) as worker:
            device = DeviceFacts.model_validate(worker.ask("facts"))
            loaded = worker.ask("load", **load_fields(case, self.transport))
            scores = self._score(case, worker)
        return Measurement(
            name=case.name,
            bundle=case.bundle,
            file=case.file or case.path.name,
            format=case.format,
            sha256=hash_file(case.path),
            bytes=case.path.stat().st_size,
            runtime=case.runtime,
            runtime_version=loaded["runtime_version"],
            threads=case.threads,
            sequence_length=case.sequence_length,
            instructions=self._count(case) if self._counts else None,
            task=scores.task,
            accuracy=scores.accuracy,
            predictions=scores.predictions,
            labels=scores.labels,
            device=_played(device, self._pi),
            conditions=Conditions(),
            started=started,
            emulated=True,
        )

    def _score(self, case: Case, worker: WorkerProcess) -> Scores:
        scorer = self._scorers.of(case.examples)
        if scorer is None:
            return Scores()
        place = self.transport.place(scorer.examples.tokens)
        answer = worker.ask("evaluate", path=place, batch=self._settings.evaluation_batch)
        return scorer.score(answer, f"{case.name} ({case.path})")

    def _count(self, case: Case) -> dict[str, int]:
        length, seed = case.sequence_length, self._settings.seed
        if self._scorers.usual is None:
            ids = np.random.default_rng(seed).integers(1, _SMALLEST_VOCABULARY, size=length).tolist()
        else:
            ids = self._scorers.usual.tokens.packed(length, 1, seed)[0].tolist()
        counted = count_case(case, ids, self._emulator, cache_folder(), timeout_seconds=self._settings.timeout_seconds)
        return counted.instructions


def _played(facts: DeviceFacts, pi: EmulatedPi) -> DeviceFacts:
    """Returns the facts of the board: its memory and cores would be those of whatever machine emulates it."""
    return facts.model_copy(update={"board": f"{pi.board.name} (emulated)", "cores": CORES, "memory_mb": 0})


register("emulated", Kind(EmulatedProfile, EmulatedDevice))
