"""A bench: every file's memory and accuracy in fresh processes of their own, then the times of all, interleaved."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgedistil.bench.cases import Case
from edgedistil.bench.interleave import Batches, Inputs, Timing, load_fields, time_cases
from edgedistil.bench.measurement import Interval, Measurement
from edgedistil.bench.process import WorkerProcess
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.scores import Examples, Scorers, Scores
from edgedistil.bench.settings import BenchSettings
from edgedistil.bench.stats import quantile_interval
from edgedistil.bench.tokenising import time_tokeniser
from edgedistil.bench.transport import LinkError, LocalTransport, Transport
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.hashing import hash_file
from edgedistil.progress import Bar, Progress, SilentProgress

# Without text the ids come from the low end, where every vocabulary has some.
_SMALLEST_VOCABULARY = 100

T = TypeVar("T")


@dataclass(frozen=True)
class BenchResult:
    """What a bench brought home.

    Attributes:
        measurements: One a file that could be measured, in the order of the cases.
        failures: By case name, why each of the others could not; one line each.
    """

    measurements: list[Measurement]
    failures: dict[str, EdgeDistilError] = field(default_factory=dict)

    def complete(self) -> list[Measurement]:
        """Returns the measurements, for a caller who needs them all.

        Raises:
            EdgeDistilError: The first failure, if there is any.
        """
        for error in self.failures.values():
            raise error
        return self.measurements


@dataclass(frozen=True)
class _Memory:
    peak_mb: float
    runtime_mb: float
    device_mb: float | None = None


def run_bench(
    cases: Sequence[Case],
    examples: Examples | None,
    settings: BenchSettings | None = None,
    progress: Progress | None = None,
    transport: Transport | None = None,
) -> BenchResult:
    """Measures files on a machine.

    Each file gets three processes: one that loads it, runs it a few times and says its peak memory; one that answers
    the evaluation set, once a file whatever the threads and lengths it is timed with; and one that lives through the
    timing, in which the files take turns block by block. A file that fails, or whose process dies, is left out and
    named in the result; the others are measured all the same. Where a link breaks, what was finished stands.

    Args:
        cases: The files, with different names.
        examples: An evaluation set with its task: scored whole, and the source of the timed inputs. None: no score,
            and random token ids.
        settings: How long and how precisely; the defaults for None.
        progress: Where to report; nowhere for None.
        transport: Where the workers run; this machine for None.

    Returns:
        The measurements and the failures.

    Raises:
        UsageError: When there are no cases, two share a name, or the evaluation set cannot be read.
        EdgeDistilError: When the machine cannot be reached, or cannot take the files.
    """
    _check_names(cases)
    bench = _Bench(settings or BenchSettings(), progress or SilentProgress(), transport or LocalTransport(), examples)
    return bench.run(cases)


class _Bench:
    """One run: what every step of it needs, and what the files have shown so far."""

    def __init__(
        self, settings: BenchSettings, progress: Progress, transport: Transport, examples: Examples | None
    ) -> None:
        self._settings, self._progress, self._transport = settings, progress, transport
        self._scorers = Scorers(examples)
        self._failures: dict[str, EdgeDistilError] = {}
        self._memories: dict[str, _Memory] = {}
        self._scores: dict[str, Scores] = {}
        self._by_file: dict[tuple[Path, str, Examples | None], Scores] = {}

    def run(self, cases: Sequence[Case]) -> BenchResult:
        """Measures the cases; see `run_bench`."""
        inputs = self._inputs(cases)
        there = [case for case in cases if self._is_there(case)]
        if there:
            files = self._scorers.files(case.examples for case in there)
            self._patiently(lambda: self._transport.prepare(there, files, self._progress))
        with self._progress.bar("memory and accuracy", len(cases)) as bar:
            for case in there:
                bar.describe(f"scoring {case.name}")
                try:
                    self._look(case, inputs[case.sequence_length, case.batch], bar)
                except EdgeDistilError as error:
                    self._failures[case.name] = error
        sound = [case for case in cases if case.name not in self._failures]
        timings, late = time_cases(sound, inputs, self._settings, self._progress, self._transport)
        failures = {**self._failures, **late}
        if not failures:
            # What was measured is not lost with a link that breaks while tidying up.
            with suppress(EdgeDistilError):
                self._transport.finish()
        return BenchResult(
            self._records(timings), {case.name: failures[case.name] for case in cases if case.name in failures}
        )

    def _is_there(self, case: Case) -> bool:
        if not case.path.is_file():
            where = f"{case.name} ({case.path})"
            self._failures[case.name] = EdgeDistilError("no such file", where=where, cure="export it first")
        return case.path.is_file()

    def _inputs(self, cases: Sequence[Case]) -> Inputs:
        tokens = self._scorers.usual.tokens if self._scorers.usual else None
        shapes = {(case.sequence_length, case.batch) for case in cases}
        return {shape: _batches(tokens, *shape, self._settings) for shape in shapes}

    def _patiently(self, work: Callable[[], T]) -> T:
        """Does a piece of work, as often as a link breaks meanwhile and comes back."""
        while True:
            try:
                return work()
            except LinkError as error:
                self._transport.reconnect(error, self._progress)

    def _look(self, case: Case, batches: Batches, bar: Bar) -> None:
        """Measures a file's memory, and scores it unless it has been."""
        self._memories[case.name] = self._patiently(lambda: self._measure_memory(case, batches))
        key = (case.path, case.runtime, case.examples)
        if key not in self._by_file:
            self._by_file[key] = self._score(case, bar)
        else:
            bar.advance(1)
        self._scores[case.name] = self._by_file[key]

    @contextmanager
    def _fresh(self, case: Case) -> Iterator[tuple[WorkerProcess, dict[str, Any]]]:
        """Loads a case's file into a process of its own; gives the process and the answer to loading."""
        with WorkerProcess(case, self._settings.timeout_seconds, self._transport) as worker:
            yield worker, worker.ask("load", **load_fields(case, self._transport))

    def _measure_memory(self, case: Case, batches: Batches) -> _Memory:
        with self._fresh(case) as (worker, loaded):
            worker.ask("prepare", input_ids=batches)
            peak = worker.ask("memory", inferences=self._settings.memory_inferences)
            return _Memory(peak["peak_memory_mb"], loaded["runtime_memory_mb"], peak.get("device_memory_mb"))

    def _score(self, case: Case, bar: Bar) -> Scores:
        scorer = self._scorers.of(case.examples)
        if scorer is None:
            bar.advance(1)
            return Scores()
        seen = 0.0

        def on_progress(done: int, total: int) -> None:
            nonlocal seen
            bar.advance(max(done / total - seen, 0))
            seen = max(done / total, seen)

        path = scorer.examples.tokens
        fields: dict[str, Any] = {"path": self._transport.place(path), "batch": self._settings.evaluation_batch}

        def evaluate() -> dict[str, Any]:
            with self._fresh(case) as (worker, loaded):
                kept = self._transport.keep(case, loaded["runtime_version"], path, fields["batch"])
                return worker.ask("evaluate", on_progress, **fields, **({"keep": kept} if kept else {}))

        answer = self._patiently(evaluate)
        bar.advance(1 - seen)
        return scorer.score(answer, f"{case.name} ({case.path})")

    def _records(self, timings: Sequence[Timing]) -> list[Measurement]:
        session = uuid.uuid4().hex[:12]
        tokenise = self._tokenise([timing.case for timing in timings])
        return [
            _record(
                timing,
                self._memories[timing.case.name],
                self._scores[timing.case.name],
                session,
                tokenise.get((timing.case.tokenizer, timing.case.sequence_length)),
            )
            for timing in timings
        ]

    def _tokenise(self, cases: Sequence[Case]) -> dict[tuple[Path | None, int], Interval]:
        """Times each tokeniser at each length, here: a device has token ids sent to it and may have no tokeniser."""
        if not self._transport.is_local:
            return {}
        found: dict[tuple[Path | None, int], Interval] = {}
        for case in cases:
            scorer = self._scorers.of(case.examples)
            key = (case.tokenizer, case.sequence_length)
            if case.tokenizer and scorer and key not in found:
                found[key] = Interval.of(time_tokeniser(case.tokenizer, scorer.tokens, case.sequence_length))
        return found


def _check_names(cases: Sequence[Case]) -> None:
    names = [case.name for case in cases]
    if not names:
        raise UsageError("nothing to bench", cure="name a bundle with an exported file")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two cases are named '{twice[0]}'", cure="give each its own name")


def _batches(tokens: EvaluationSet | None, length: int, batch: int, settings: BenchSettings) -> Batches:
    """Returns the token ids to time with, [inputs, batch, length]."""
    count = settings.latency_inputs * batch
    if tokens is not None:
        rows = tokens.packed(length, count, settings.seed)
    else:
        generator = np.random.default_rng(settings.seed)
        rows = generator.integers(1, _SMALLEST_VOCABULARY, size=(count, length))
    batches: list[list[list[int]]] = rows.reshape(settings.latency_inputs, batch, length).tolist()
    return batches


def _record(timing: Timing, memory: _Memory, scores: Scores, session: str, tokenise: Interval | None) -> Measurement:
    case, samples, sizes = timing.case, timing.samples, timing.sizes
    p50, p90, p99 = (Interval.of(quantile_interval(samples, share, sizes)) for share in (0.5, 0.9, 0.99))
    return Measurement(
        name=case.name,
        bundle=case.bundle,
        file=case.file or case.path.name,
        format=case.format,
        sha256=hash_file(case.path),
        bytes=case.path.stat().st_size,
        runtime=case.runtime,
        runtime_version=timing.runtime_version,
        threads=case.threads,
        sequence_length=case.sequence_length,
        batch=case.batch,
        scenario=case.scenario,
        session=session,
        samples_ms=samples,
        blocks=sizes,
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        load_ms=timing.load_ms,
        first_ms=timing.first_ms,
        warmup_ms=timing.warmup_ms,
        peak_memory_mb=memory.peak_mb,
        runtime_memory_mb=memory.runtime_mb,
        device_memory_mb=memory.device_mb,
        # MLPerf's offline metric: all examples over all the time they took; the same of single ones, back to back.
        throughput_per_second=1000 * case.batch * len(samples) / sum(samples),
        tokenise_ms=tokenise,
        energy_mj=Interval.of(quantile_interval(timing.millijoules, 0.5)) if timing.millijoules else None,
        task=scores.task,
        accuracy=scores.accuracy,
        predictions=scores.predictions,
        labels=scores.labels,
        device=timing.device,
        conditions=timing.conditions,
        precise=timing.precise,
        started=timing.started,
    )
