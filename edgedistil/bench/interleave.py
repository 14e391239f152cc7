"""Timing several files in turns, A B C A B C, so that the machine's drift falls on all of them alike."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import chain
from typing import Any

from edgedistil.bench.cases import Case
from edgedistil.bench.facts import DeviceFacts
from edgedistil.bench.process import WorkerProcess
from edgedistil.bench.settings import BenchSettings
from edgedistil.bench.stats import quantile_interval
from edgedistil.bench.thermal import Conditions, Snapshot, conditions_of
from edgedistil.bench.transport import LinkError, Transport
from edgedistil.errors import EdgeDistilError
from edgedistil.progress import Bar, Progress

Batches = Sequence[Sequence[Sequence[int]]]
Inputs = Mapping[tuple[int, int], Batches]
"""Token ids [inputs, batch, length] by sequence length and batch."""

_COOLING_SECONDS = 2.0


@dataclass
class Timing:
    """The times of one file.

    Attributes:
        case: The file.
        device: What it ran on.
        started: UTC, ISO 8601.
        runtime_version: Version of its runtime.
        load_ms: Time to load.
        first_ms: Time of the first inference.
        warmup_ms: Time until stable.
        stable: Whether it became stable.
        blocks: Latencies in ms, one list a round.
        conditions: Of the device, from before the first round to after the last.
        precise: Whether p50's interval became as narrow as asked for.
        millijoules: Energy an inference in each metered block; empty where nothing is metered.
    """

    case: Case
    device: DeviceFacts
    started: str
    runtime_version: str
    load_ms: float
    first_ms: float
    warmup_ms: float
    stable: bool
    blocks: list[list[float]] = field(default_factory=list)
    conditions: Conditions = field(default_factory=Conditions)
    precise: bool = False
    millijoules: list[float] = field(default_factory=list)

    @property
    def samples(self) -> list[float]:
        """All latencies, in ms, in the order taken."""
        return list(chain.from_iterable(self.blocks))

    @property
    def sizes(self) -> list[int]:
        """Samples a block."""
        return [len(block) for block in self.blocks]


class _Timer:
    """One file's long-lived worker, from loading to its last block; another takes its place when a link breaks."""

    def __init__(self, case: Case, settings: BenchSettings) -> None:
        self.case = case
        self._settings = settings
        self._timing: Timing | None = None
        self._troubles = 0

    @property
    def timing(self) -> Timing:
        """What has been measured so far."""
        assert self._timing is not None  # noqa: S101, prepared before it takes turns
        return self._timing

    @property
    def seconds(self) -> float:
        """Measured seconds so far."""
        return sum(map(sum, self._timing.blocks)) / 1000 if self._timing else 0.0

    def prepare(self, worker: WorkerProcess, batches: Batches) -> None:
        """Loads the file, runs it once and warms it up; what an earlier worker has measured is kept."""
        self.worker, settings = worker, self._settings
        started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        device = DeviceFacts.model_validate(worker.ask("facts"))
        loaded = worker.ask("load", **load_fields(self.case, worker.transport))
        first = worker.ask("prepare", input_ids=batches)
        warm = worker.ask("warm_up", seconds=settings.warmup_seconds, tolerance=settings.warmup_tolerance)
        if self._timing is not None:
            return
        self._before = Snapshot.model_validate(worker.ask("conditions"))
        self._timing = Timing(
            case=self.case,
            device=device,
            started=started,
            runtime_version=loaded["runtime_version"],
            load_ms=loaded["load_ms"],
            first_ms=first["first_ms"],
            warmup_ms=warm["seconds"] * 1000,
            stable=warm["stable"],
        )

    def measure(self) -> None:
        """Takes one block."""
        settings = self._settings
        answer = self.worker.ask(
            "measure", seconds=settings.turn_seconds, minimum=settings.min_block_samples, settle=settings.settle
        )
        self.timing.blocks.append([nanoseconds / 1e6 for nanoseconds in answer["samples_ns"]])
        self._troubles |= answer.get("throttle_flags") or 0

    def cool(self) -> None:
        """Waits until the device is as cool as asked for; one that tells no temperature is not waited for."""
        limit, end = self._settings.cool_below_c, time.monotonic() + self._settings.cool_seconds
        while limit is not None and time.monotonic() < end:
            found = self.worker.ask("temperature")["temperature_c"]
            if found is None or found < limit:
                return
            time.sleep(_COOLING_SECONDS)

    def finished(self) -> bool:
        """Tells whether p50 is as precise as asked for, or the time is up."""
        timing = self.timing
        if len(timing.blocks) < self._settings.min_blocks:
            return False
        median = quantile_interval(timing.samples, 0.5, timing.sizes)
        timing.precise = median.attained and median.relative_width <= self._settings.relative_width
        return timing.precise or self.seconds >= self._settings.max_seconds

    def finish(self) -> None:
        """Looks at the device once more, meters energy where it can be, and ends the worker."""
        after = Snapshot.model_validate(self.worker.ask("conditions"))
        if after.throttle_flags is not None:
            # A Pi that was throttled before says "since boot" in any case: what came and went is seen block by block.
            after = after.model_copy(update={"throttle_flags": after.throttle_flags | self._troubles})
        self.timing.conditions = conditions_of(self._before, after, self.timing.stable)
        self.timing.millijoules = self.worker.ask("energy", seconds=self._settings.energy_seconds)["millijoules"]
        self.worker.close()


def load_fields(case: Case, transport: Transport) -> dict[str, Any]:
    """Returns the fields of the runner's `load` command for a case."""
    return {
        "runtime": case.runtime,
        "path": transport.place(case.path),
        "threads": case.threads,
        "sequence_length": case.sequence_length,
    }


def time_cases(
    cases: Sequence[Case],
    inputs: Inputs,
    settings: BenchSettings,
    progress: Progress,
    transport: Transport,
) -> tuple[list[Timing], dict[str, EdgeDistilError]]:
    """Times files in interleaved blocks, each in its own process, only one of them running at a time.

    A file leaves the turns when it is done; block i of every file is of round i. When a link breaks, the round it
    broke in is measured again, by new workers that have warmed up; the rounds before it stand.

    Args:
        cases: The files.
        inputs: Token ids.
        settings: How long and how precisely.
        progress: Told of measured seconds.
        transport: Where the workers run.

    Returns:
        The timings, and by case name the error of each file that could not be timed.
    """
    with progress.bar("latency", settings.max_seconds * len(cases)) as bar:
        turns = _Turns(cases, inputs, settings, transport, bar)
        while turns.running:
            try:
                with contextlib.ExitStack() as stack:
                    turns.open(stack)
                    while turns.running:
                        turns.round()
            except LinkError as broken:
                try:
                    transport.reconnect(broken, progress)
                except EdgeDistilError as error:
                    turns.give_up(error)
    return [timer.timing for timer in turns.timers if timer.case.name not in turns.failures], turns.failures


class _Turns:
    """The files that take turns, and how many rounds they have had."""

    def __init__(
        self, cases: Sequence[Case], inputs: Inputs, settings: BenchSettings, transport: Transport, bar: Bar
    ) -> None:
        self.timers = [_Timer(case, settings) for case in cases]
        self.running = list(self.timers)
        self.failures: dict[str, EdgeDistilError] = {}
        self._inputs, self._settings, self._transport, self._bar = inputs, settings, transport, bar
        self._rounds = 0
        self._shown: dict[str, float] = {}

    def open(self, stack: contextlib.ExitStack) -> None:
        """Starts and warms up a worker for each file that is not done."""
        for timer in list(self.running):
            case = timer.case
            with self._kept(timer):
                self._bar.describe(f"warming up {case.name}")
                worker = WorkerProcess(case, self._settings.timeout_seconds, self._transport)
                timer.prepare(stack.enter_context(worker), self._inputs[case.sequence_length, case.batch])
                del timer.timing.blocks[self._rounds :]
        self._bar.describe("latency")

    def round(self) -> None:
        """Gives every file its turn, then lets go of those that are done."""
        for timer in list(self.running):
            with self._kept(timer):
                timer.cool()
                timer.measure()
                self._show(timer, timer.seconds)
        self._rounds += 1
        for timer in list(self.running):
            with self._kept(timer):
                if timer.finished():
                    timer.finish()
                    self.running.remove(timer)
                    self._show(timer, self._settings.max_seconds)

    def give_up(self, error: EdgeDistilError) -> None:
        """Leaves out every file that is not done."""
        self.failures |= {timer.case.name: error for timer in self.running}
        self.running.clear()

    def _show(self, timer: _Timer, seconds: float) -> None:
        seconds = min(seconds, self._settings.max_seconds)
        self._bar.advance(max(seconds - self._shown.get(timer.case.name, 0.0), 0.0))
        self._shown[timer.case.name] = max(seconds, self._shown.get(timer.case.name, 0.0))

    @contextlib.contextmanager
    def _kept(self, timer: _Timer) -> Iterator[None]:
        """Keeps a file's error so that the others go on; a broken link is everyone's."""
        try:
            yield
        except LinkError:
            raise
        except EdgeDistilError as error:
            self.failures[timer.case.name] = error
            self.running.remove(timer)
