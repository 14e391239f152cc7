"""The baseline: what is held. Predictions by example id and the figures of each file, committed beside the code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue, model_validator

from edgedistil.bench.cases import Case
from edgedistil.bench.facts import DeviceFacts
from edgedistil.bench.measurement import Accuracy, Interval, Measurement, Scenario
from edgedistil.bundle.records import Record, check, read_json, write_text
from edgedistil.errors import UsageError
from edgedistil.gate.limits import GateLimits

SCHEMA_VERSION = 1
EntryKey = tuple[str, str, int, int, int, str]


class BaselineEntry(Record):
    """One file of the baseline's bundle, at one number of threads and one sequence length."""

    format: str
    sha256: str
    bytes: int = Field(ge=1)
    accuracy: Accuracy | None
    predictions: dict[str, JsonValue] = Field(min_length=1)
    """Prediction by example id, in the task's JSON form."""
    p50_ms: Interval | None = None
    """None only where the processor was emulated, and so for memory."""
    peak_memory_mb: float | None = Field(default=None, gt=0)
    instructions: dict[str, int] | None = None
    """Instructions an inference, by kind, where an emulator counted them."""
    runtime: str
    runtime_version: str
    threads: int
    sequence_length: int
    batch: int = 1
    scenario: Scenario = "single-stream"
    steady: bool
    """Whether the device was stable and, as far as it tells, not throttled."""
    emulated: bool = False

    @property
    def key(self) -> EntryKey:
        """What tells one entry from another: format, runtime, threads, sequence length, batch, scenario."""
        return self.format, self.runtime, self.threads, self.sequence_length, self.batch, self.scenario


class Baseline(Record):
    """What a gate holds later bundles to."""

    schema_version: Literal[1] = 1
    name: str
    bundle: str
    """Name of the bundle it was set from."""
    task: str = "text-classification"
    """What its model does."""
    created: AwareDatetime
    limits: GateLimits
    device: DeviceFacts
    """Where times and memory were measured."""
    labels: dict[str, JsonValue] = Field(min_length=1)
    """Reference by example id, in the task's JSON form."""
    entries: list[BaselineEntry] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Baseline:
        twice = [key for key, count in Counter(entry.key for entry in self.entries).items() if count > 1]
        if twice:
            raise ValueError(f"'{twice[0][0]}' has two entries that were run in the same way")
        for entry in self.entries:
            if entry.p50_ms is not None and entry.p50_ms.low <= 0:
                raise ValueError(f"p50_ms of '{entry.format}' is not above 0")
            if not entry.predictions.keys() <= self.labels.keys():
                raise ValueError(f"'{entry.format}' predicts examples that have no reference label")
        return self


def baseline_from_measurements(
    measurements: Sequence[Measurement], *, name: str, bundle: str, limits: GateLimits | None = None
) -> Baseline:
    """Makes a baseline of a bundle's measurements.

    Args:
        measurements: From one device; those of other bundles, such as the teacher's, are passed over.
        name: Name of the baseline.
        bundle: Name of the bundle.
        limits: What a later bundle may lose; None takes the defaults.

    Raises:
        UsageError: When there are none, a file was not scored, or they are of several devices or references.
    """
    measurements = [made for made in measurements if made.bundle == bundle]
    if not measurements:
        raise UsageError("no measurements to make a baseline of", where=bundle, cure="run: edgedistil bench BUNDLE")
    refuse_duplicates(measurements, where=bundle)
    labels: dict[str, JsonValue] = {}
    for made in measurements:
        if not made.predictions:
            raise UsageError(
                f"'{made.name}' was measured without being scored",
                where=bundle,
                cure="bench it again with the bundle's evaluation set",
            )
        if made.device.differences(measurements[0].device):
            raise UsageError(
                "the measurements are of different devices", where=bundle, cure="set one baseline a device"
            )
        if made.task != measurements[0].task:
            raise UsageError("the measurements are of different tasks", where=bundle, cure="set one baseline a task")
        if any(labels.setdefault(example, label) != label for example, label in made.labels.items()):
            raise UsageError(f"'{made.name}' was scored against other reference labels than the rest", where=bundle)
    return Baseline(
        name=name,
        bundle=bundle,
        task=measurements[0].task,
        created=datetime.now(timezone.utc).replace(microsecond=0),
        limits=limits or GateLimits(),
        device=measurements[0].device,
        labels=labels,
        entries=[_entry(made) for made in measurements],
    )


def refuse_duplicates(measurements: Sequence[Measurement], *, where: str) -> None:
    """Checks that no file was given twice in one runtime.

    Raises:
        UsageError: When two measurements are of the same format and runtime, run in the same way.
    """
    keys = Counter(key_of(made) for made in measurements)
    twice = [key[0] for key, count in keys.items() if count > 1]
    if twice:
        raise UsageError(f"two measurements of '{twice[0]}'", where=where, cure="give those of one bundle and one run")


def key_of(made: Measurement | Case) -> EntryKey:
    """Returns what tells a measurement, made or to be made, from the others of its bundle; as `BaselineEntry.key`."""
    return made.format, made.runtime, made.threads, made.sequence_length, made.batch, made.scenario


def steady(made: Measurement) -> bool:
    """Returns whether a measurement's times may be relied on: latencies stable, no throttling seen."""
    return made.conditions.stable and not made.conditions.throttled


def _entry(made: Measurement) -> BaselineEntry:
    return BaselineEntry(
        format=made.format,
        sha256=made.sha256,
        bytes=made.bytes,
        accuracy=made.accuracy,
        predictions=made.predictions,
        p50_ms=made.p50_ms,
        peak_memory_mb=made.peak_memory_mb,
        instructions=made.instructions,
        runtime=made.runtime,
        runtime_version=made.runtime_version,
        threads=made.threads,
        sequence_length=made.sequence_length,
        batch=made.batch,
        scenario=made.scenario,
        steady=steady(made),
        emulated=made.emulated,
    )


def read_baseline(path: Path) -> Baseline:
    """Reads a baseline.

    Raises:
        UsageError: When it is missing, damaged or of an unknown schema version.
    """
    return check(read_json(path, what="baseline"), Baseline, where=str(path), version=SCHEMA_VERSION)


def write_baseline(baseline: Baseline, path: Path, *, force: bool = False) -> None:
    """Writes a baseline whole or not at all.

    Args:
        baseline: What to hold.
        path: The JSON file.
        force: Replace an existing one: what it held is then held no more.

    Raises:
        UsageError: When the file exists and `force` is not given.
        EdgeDistilError: When it cannot be written.
    """
    if path.exists() and not force:
        raise UsageError(
            "a baseline is there already", where=str(path), cure="keep it, or replace what it holds with --force"
        )
    write_text(path, baseline.model_dump_json(indent=1) + "\n")
