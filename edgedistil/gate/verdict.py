"""The verdict on a bundle: every check of every file, and what they come to. The decision table is in `checks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from edgedistil.bench.measurement import Measurement
from edgedistil.bench.process import CaseError
from edgedistil.bundle.formats import FORMATS, RUNTIME_TITLES
from edgedistil.bundle.records import Record
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.gate.baseline import Baseline, BaselineEntry, key_of, refuse_duplicates
from edgedistil.gate.checks import (
    Check,
    Outcome,
    check_instructions,
    check_latency,
    check_memory,
    check_size,
)
from edgedistil.gate.limits import GateLimits
from edgedistil.gate.quality import check_quality

Verdict = Literal["pass", "fail", "inconclusive"]

_EXIT_CODES: dict[str, int] = {"pass": 0, "fail": 1, "inconclusive": 3}


class FileVerdict(Record):
    """How one file stands."""

    format: str
    title: str
    outcome: Verdict
    checks: list[Check]


class GateReport(Record):
    """How a bundle stands against its baseline."""

    outcome: Verdict
    baseline: str
    bundle: str
    limits: GateLimits
    files: list[FileVerdict]
    notes: list[str]

    @property
    def exit_code(self) -> int:
        """0 for pass, 1 for fail, 3 for inconclusive (2 is bad usage)."""
        return _EXIT_CODES[self.outcome]


def judge(
    baseline: Baseline,
    measurements: Sequence[Measurement],
    limits: GateLimits | None = None,
    formats: Sequence[str] | None = None,
    bundle: str | None = None,
    failures: Sequence[CaseError] = (),
) -> GateReport:
    """Judges a bundle's measurements against a baseline.

    A file that the baseline holds and that was not measured makes the verdict inconclusive: nothing says that it still
    holds. One that was tried, and that its runtime refused or that gave no answer to be used, fails. A file that the
    baseline does not know is only noted.

    Args:
        baseline: What is held.
        measurements: Those of the bundle to judge, of one run.
        limits: What may be lost; None takes the baseline's own.
        formats: Hold these formats only, where not every runtime is at hand; None holds all.
        bundle: Judge this bundle's measurements alone, where others' such as the teacher's are among them.
        failures: Of the bundle's files that could not be measured.

    Returns:
        The verdict, with every figure it rests on.

    Raises:
        UsageError: When there is nothing to judge, a format is not in the baseline, a file was given twice or not
            scored, no example is in common, reference labels have changed, or the baseline is of another task.
    """
    where = f"baseline '{baseline.name}'"
    measurements = [made for made in measurements if bundle in (None, made.bundle)]
    if not measurements:
        raise UsageError("no measurements to judge", where=where, cure="run: edgedistil bench BUNDLE")
    refuse_duplicates(measurements, where=measurements[0].bundle)
    for made in measurements:
        check_task(baseline, made.task, made.bundle)
    chosen = limits or baseline.limits
    files = [_judge_file(baseline, entry, measurements, chosen, failures) for entry in held_entries(baseline, formats)]
    return GateReport(
        outcome=_worst([file.outcome for file in files]),
        baseline=baseline.name,
        bundle=measurements[0].bundle,
        limits=chosen,
        files=files,
        notes=_notes(baseline, files, measurements),
    )


def check_task(baseline: Baseline, task: str, bundle: str) -> None:
    """Checks that a bundle does what the baseline's did.

    Raises:
        UsageError: When it is of another task.
    """
    if task != baseline.task:
        raise UsageError(
            f"is of the task {baseline.task}, and '{bundle}' of {task}",
            where=f"baseline '{baseline.name}'",
            cure="name a baseline of its own task, or set one with: edgedistil baseline set BUNDLE",
        )


def held_entries(baseline: Baseline, formats: Sequence[str] | None) -> list[BaselineEntry]:
    """Returns what of a baseline is held.

    Args:
        baseline: The baseline.
        formats: These alone; None for all.

    Raises:
        UsageError: When none is named, or one that the baseline does not hold.
    """
    if formats is None:
        return list(baseline.entries)
    where = f"baseline '{baseline.name}'"
    known = {entry.format for entry in baseline.entries}
    for name in formats:
        if name not in known:
            raise UsageError(f"holds no format '{name}'", where=where, cure=did_you_mean(name, known))
    if not formats:
        raise UsageError("no format is named to be held", where=where, cure=f"it holds: {', '.join(sorted(known))}")
    return [entry for entry in baseline.entries if entry.format in formats]


def _judge_file(
    baseline: Baseline,
    entry: BaselineEntry,
    measurements: Sequence[Measurement],
    limits: GateLimits,
    failures: Sequence[CaseError],
) -> FileVerdict:
    failed = next((failure for failure in failures if key_of(failure.case) == entry.key), None)
    # Run in another way, a file says nothing of the way in which it failed.
    made = None if failed else _measurement_of(baseline, entry, measurements)
    checks = [_absent(entry, failed)] if made is None else _check_all(baseline, entry, made, limits)
    title = FORMATS[entry.format].title_in(entry.runtime) if entry.format in FORMATS else entry.format
    return FileVerdict(
        format=entry.format, title=title, outcome=_worst([check.outcome for check in checks]), checks=checks
    )


def _check_all(baseline: Baseline, entry: BaselineEntry, made: Measurement, limits: GateLimits) -> list[Check]:
    checks = [
        check_quality(baseline, entry, made, limits.margin),
        check_latency(baseline, entry, made, limits.latency_ratio),
        check_memory(baseline, entry, made, limits.memory_ratio),
        check_size(entry, made, limits.size_ratio),
    ]
    counted = check_instructions(baseline, entry, made, limits.instructions_ratio)
    return [*checks, counted] if counted else checks


def _measurement_of(
    baseline: Baseline, entry: BaselineEntry, measurements: Sequence[Measurement]
) -> Measurement | None:
    """Returns what is held against an entry: the file as the entry ran it, else as no other entry did."""
    same_format = [made for made in measurements if made.format == entry.format]
    exact = [made for made in same_format if key_of(made) == entry.key]
    others = [other for other in baseline.entries if other.format == entry.format and other is not entry]
    free = [made for made in same_format if key_of(made) not in {other.key for other in others}]
    in_its_runtime = [made for made in free if made.runtime == entry.runtime]
    in_no_other_s = [made for made in free if made.runtime not in {other.runtime for other in others}]
    return next(iter([*exact, *in_its_runtime, *in_no_other_s]), None)


def _absent(entry: BaselineEntry, failed: CaseError | None) -> Check:
    held = f"the baseline holds {_named(entry)} {_run_as(entry)}"
    if failed and failed.refused:
        return Check(kind="presence", outcome="fail", line=f"{held}, and this bundle's file fails: {failed.what}")
    return Check(
        kind="presence",
        outcome="inconclusive",
        line=f"{held}, and that {f'could not be measured: {failed.what}' if failed else 'was not measured'}",
        settle=(failed and failed.cure) or "measure it, or name the formats to hold with --format",
    )


def _run_as(entry: BaselineEntry) -> str:
    batch = "" if entry.batch == 1 else f", {entry.scenario} at batch {entry.batch}"
    return f"on {entry.threads} threads at {entry.sequence_length} tokens{batch}"


def _named(one: BaselineEntry | Measurement) -> str:
    """Returns a format's name, with the runtime where it is not the format's usual one."""
    usual = FORMATS[one.format].runtimes[:1] if one.format in FORMATS else (one.runtime,)
    return one.format if one.runtime in usual else f"{one.format} in {RUNTIME_TITLES.get(one.runtime, one.runtime)}"


def _worst(outcomes: Sequence[Outcome]) -> Verdict:
    if "fail" in outcomes:
        return "fail"
    return "inconclusive" if "inconclusive" in outcomes else "pass"


def _notes(baseline: Baseline, files: Sequence[FileVerdict], measurements: Sequence[Measurement]) -> list[str]:
    notes = []
    skipped = {check.kind for file in files for check in file.checks if check.outcome == "not compared"}
    if skipped:
        names = " and ".join(sorted(skipped))
        notes.append(f"{names} did not count: see 'not compared' above")
    known = {(entry.format, entry.runtime) for entry in baseline.entries}
    new = sorted({_named(made) for made in measurements if (made.format, made.runtime) not in known})
    if new:
        notes.append(f"not held, for the baseline does not know it: {', '.join(new)}")
    slower = [
        check.values["ratio"] for file in files for check in file.checks if check.kind == "latency" and check.values
    ]
    ratios = [ratio for ratio in slower if ratio is not None]
    if len(ratios) > 1 and min(ratios) > 1.05 and max(ratios) / min(ratios) < 1.1:
        notes.append("every file is slower by about as much: that is the machine's doing more likely than the models'")
    return notes
