"""A bench: every file's memory and accuracy in fresh processes of their own, then the times of all, interleaved."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.bench.cases import Case
from edgedistil.bench.interleave import Batches, Timing, load_fields, time_cases
from edgedistil.bench.measurement import Accuracy, Interval, Measurement
from edgedistil.bench.process import WorkerProcess
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.settings import BenchSettings
from edgedistil.bench.stats import quantile_interval, wilson_interval
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.hashing import hash_file
from edgedistil.progress import Bar, Progress, SilentProgress

# Without text the ids come from the low end, where every vocabulary has some.
_SMALLEST_VOCABULARY = 100


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


@dataclass(frozen=True)
class _Scores:
    accuracy: Accuracy | None = None
    predictions: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)


def run_bench(
    cases: Sequence[Case],
    evaluation: Path | None,
    settings: BenchSettings | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Measures files on this machine.

    Each file gets three processes: one that loads it, runs it a few times and says its peak memory; one that labels
    the evaluation set; and one that lives through the timing, in which the files take turns block by block. A file
    that fails, or whose process dies, is left out and named in the result; the others are measured all the same.

    Args:
        cases: The files, with different names.
        evaluation: An `EvaluationSet`'s `.npz`: scored whole, and the source of the timed inputs. None: no accuracy,
            and random token ids.
        settings: How long and how precisely; the defaults for None.
        progress: Where to report; nowhere for None.

    Returns:
        The measurements and the failures.

    Raises:
        UsageError: When there are no cases, two share a name, or the evaluation set cannot be read.
    """
    settings, progress = settings or BenchSettings(), progress or SilentProgress()
    _check_names(cases)
    examples = _load(evaluation)
    inputs = {length: _inputs(examples, length, settings) for length in {case.sequence_length for case in cases}}
    failures: dict[str, EdgeDistilError] = {}
    memories: dict[str, _Memory] = {}
    scores: dict[str, _Scores] = {}
    with progress.bar("memory and accuracy", len(cases)) as bar:
        for case in cases:
            bar.describe(f"scoring {case.name}")
            try:
                memories[case.name] = _measure_memory(case, inputs[case.sequence_length], settings)
                scores[case.name] = _score(case, evaluation, settings, bar)
            except EdgeDistilError as error:
                failures[case.name] = error
    sound = [case for case in cases if case.name not in failures]
    timings, late = time_cases(sound, inputs, settings, progress)
    failures |= late
    session = uuid.uuid4().hex[:12]
    return BenchResult(
        [_record(timing, memories[timing.case.name], scores[timing.case.name], session) for timing in timings],
        {case.name: failures[case.name] for case in cases if case.name in failures},
    )


def _check_names(cases: Sequence[Case]) -> None:
    names = [case.name for case in cases]
    if not names:
        raise UsageError("nothing to bench", cure="name a bundle with an exported file")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two cases are named '{twice[0]}'", cure="give each its own name")


def _load(evaluation: Path | None) -> EvaluationSet | None:
    if evaluation is None:
        return None
    try:
        return EvaluationSet.load(evaluation)
    except RunnerError as error:
        raise UsageError(str(error), cure="export the bundle again") from error


def _inputs(examples: EvaluationSet | None, length: int, settings: BenchSettings) -> Batches:
    """Returns the token ids to time with, [inputs, 1, length]."""
    if examples is not None:
        rows = examples.packed(length, settings.latency_inputs, settings.seed)
    else:
        generator = np.random.default_rng(settings.seed)
        rows = generator.integers(1, _SMALLEST_VOCABULARY, size=(settings.latency_inputs, length))
    batches: list[list[list[int]]] = rows[:, None, :].tolist()
    return batches


@contextmanager
def _fresh(case: Case, settings: BenchSettings) -> Iterator[tuple[WorkerProcess, dict[str, Any]]]:
    """Loads a case's file into a process of its own; gives the process and the answer to loading."""
    if not case.path.is_file():
        raise EdgeDistilError("no such file", where=f"{case.name} ({case.path})", cure="export it first")
    with WorkerProcess(case, settings.timeout_seconds) as worker:
        yield worker, worker.ask("load", **load_fields(case))


def _measure_memory(case: Case, batches: Batches, settings: BenchSettings) -> _Memory:
    with _fresh(case, settings) as (worker, loaded):
        worker.ask("prepare", input_ids=batches)
        peak = worker.ask("memory", inferences=settings.memory_inferences)
        return _Memory(peak["peak_memory_mb"], loaded["runtime_memory_mb"])


def _score(case: Case, evaluation: Path | None, settings: BenchSettings, bar: Bar) -> _Scores:
    if evaluation is None:
        bar.advance(1)
        return _Scores()
    seen = 0.0

    def on_progress(done: int, total: int) -> None:
        nonlocal seen
        bar.advance(done / total - seen)
        seen = done / total

    with _fresh(case, settings) as (worker, _):
        answer = worker.ask("evaluate", on_progress, path=str(evaluation.resolve()), batch=settings.evaluation_batch)
    bar.advance(1 - seen)
    ids, labels, predictions = answer["ids"], answer["labels"], answer["predictions"]
    right = sum(label == predicted for label, predicted in zip(labels, predictions, strict=True))
    share = wilson_interval(right, len(labels))
    return _Scores(
        accuracy=Accuracy(value=share.value, low=share.low, high=share.high, examples=len(labels)),
        predictions=dict(zip(ids, predictions, strict=True)),
        labels=dict(zip(ids, labels, strict=True)),
    )


def _record(timing: Timing, memory: _Memory, scores: _Scores, session: str) -> Measurement:
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
        accuracy=scores.accuracy,
        predictions=scores.predictions,
        labels=scores.labels,
        device=timing.device,
        conditions=timing.conditions,
        precise=timing.precise,
        started=timing.started,
    )
