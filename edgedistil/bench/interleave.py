"""Timing several files in turns, A B C A B C, so that the machine's drift falls on all of them alike."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
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
from edgedistil.errors import EdgeDistilError
from edgedistil.progress import Progress

Batches = Sequence[Sequence[Sequence[int]]]


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

    @property
    def samples(self) -> list[float]:
        """All latencies, in ms, in the order taken."""
        return list(chain.from_iterable(self.blocks))

    @property
    def sizes(self) -> list[int]:
        """Samples a block."""
        return [len(block) for block in self.blocks]


class _Timer:
    """One file's long-lived worker, from loading to its last block."""

    def __init__(self, worker: WorkerProcess, settings: BenchSettings) -> None:
        self.worker = worker
        self._settings = settings
        self._measured_seconds = 0.0

    def prepare(self, batches: Batches) -> None:
        """Loads the file, runs it once and warms it up."""
        case, worker = self.worker.case, self.worker
        started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        device = DeviceFacts.model_validate(worker.ask("facts"))
        loaded = worker.ask("load", **load_fields(case))
        first = worker.ask("prepare", input_ids=batches)
        warm = worker.ask("warm_up", seconds=self._settings.warmup_seconds, tolerance=self._settings.warmup_tolerance)
        self._before = Snapshot.model_validate(worker.ask("conditions"))
        self.timing = Timing(
            case=case,
            device=device,
            started=started,
            runtime_version=loaded["runtime_version"],
            load_ms=loaded["load_ms"],
            first_ms=first["first_ms"],
            warmup_ms=warm["seconds"] * 1000,
            stable=warm["stable"],
        )

    def measure(self) -> float:
        """Takes one block; returns how many measured seconds it adds."""
        settings = self._settings
        answer = self.worker.ask(
            "measure", seconds=settings.block_seconds, minimum=settings.min_block_samples, settle=settings.settle
        )
        block = [nanoseconds / 1e6 for nanoseconds in answer["samples_ns"]]
        self.timing.blocks.append(block)
        self._measured_seconds += sum(block) / 1000
        return sum(block) / 1000

    def finished(self) -> bool:
        """Tells whether p50 is as precise as asked for, or the time is up."""
        timing = self.timing
        if len(timing.blocks) < self._settings.min_blocks:
            return False
        median = quantile_interval(timing.samples, 0.5, timing.sizes)
        timing.precise = median.attained and median.relative_width <= self._settings.relative_width
        return timing.precise or self._measured_seconds >= self._settings.max_seconds

    def finish(self) -> None:
        """Looks at the device once more, and ends the worker."""
        after = Snapshot.model_validate(self.worker.ask("conditions"))
        self.timing.conditions = conditions_of(self._before, after, self.timing.stable)
        self.worker.close()


def load_fields(case: Case) -> dict[str, Any]:
    """Returns the fields of the runner's `load` command for a case."""
    return {
        "runtime": case.runtime,
        "path": str(case.path.resolve()),
        "threads": case.threads,
        "sequence_length": case.sequence_length,
    }


def time_cases(
    cases: Iterable[Case],
    inputs: dict[int, Batches],
    settings: BenchSettings,
    progress: Progress,
) -> tuple[list[Timing], dict[str, EdgeDistilError]]:
    """Times files in interleaved blocks, each in its own process, only one of them running at a time.

    A file leaves the turns when it is done; block i of every file is of round i.

    Args:
        cases: The files.
        inputs: Token ids [inputs, batch, length] by sequence length.
        settings: How long and how precisely.
        progress: Told of measured seconds.

    Returns:
        The timings, and by case name the error of each file that could not be timed.
    """
    failures: dict[str, EdgeDistilError] = {}
    timers: list[_Timer] = []
    cases = list(cases)
    with contextlib.ExitStack() as stack, progress.bar("latency", settings.max_seconds * len(cases)) as bar:
        for case in cases:
            with _kept(failures, case):
                timer = _Timer(stack.enter_context(WorkerProcess(case, settings.timeout_seconds)), settings)
                bar.describe(f"warming up {case.name}")
                timer.prepare(inputs[case.sequence_length])
                timers.append(timer)
        running = list(timers)
        spent = dict.fromkeys((case.name for case in cases), 0.0)
        bar.describe("latency")
        while running:
            for timer in list(running):
                name = timer.worker.case.name
                with _kept(failures, timer.worker.case):
                    seconds = timer.measure()
                    spent[name] += seconds
                    bar.advance(seconds)
                    if timer.finished():
                        running.remove(timer)
                        timer.finish()
                        bar.advance(max(settings.max_seconds - spent[name], 0))
                if name in failures and timer in running:
                    running.remove(timer)
    return [timer.timing for timer in timers if timer.worker.case.name not in failures], failures


@contextlib.contextmanager
def _kept(failures: dict[str, EdgeDistilError], case: Case) -> Iterator[None]:
    """Keeps a case's error so that the other cases go on."""
    try:
        yield
    except EdgeDistilError as error:
        failures[case.name] = error
