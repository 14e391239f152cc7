"""The record of one file measured on one device: the same fields from every device, one JSON line each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from edgedistil.bench.facts import DeviceFacts
from edgedistil.bench.stats import Bounds, paired_ratio_interval, ratio_interval
from edgedistil.bench.thermal import Conditions
from edgedistil.bundle.records import write_text
from edgedistil.errors import UsageError

SCHEMA_VERSION: Final = 1
Scenario = Literal["single-stream", "offline"]
_TIMED = ("samples_ms", "p50_ms", "p90_ms", "p99_ms", "load_ms", "first_ms", "peak_memory_mb")


class Record(BaseModel):
    """Base of the records: frozen, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(Record):
    """An estimate with its 95 % interval, in the unit of the field that holds it.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
        attained: False where there were too few samples for 95 %, and an end is only the extreme sample seen.
    """

    value: float
    low: float
    high: float
    attained: bool = True

    @classmethod
    def of(cls, bounds: Bounds) -> Interval:
        """Makes the record of computed bounds."""
        return cls(value=bounds.value, low=bounds.low, high=bounds.high, attained=bounds.attained)

    @property
    def relative_width(self) -> float:
        """Half the interval's width over its value."""
        return Bounds(self.value, self.low, self.high).relative_width


class Accuracy(Record):
    """A task's headline score on an evaluation set, with its 95 % interval.

    Attributes:
        value: Between 0 and 1; a correlation may be below 0.
        low: Lower end: Wilson's for accuracy, of the bootstrap over examples for any other metric.
        high: Upper end.
        examples: How many were scored.
        metric: What the value is, as its task names it.
        others: The task's further metrics by name, without intervals, such as exact match beside F1.
    """

    value: float = Field(ge=-1, le=1)
    low: float = Field(ge=-1, le=1)
    high: float = Field(ge=-1, le=1)
    examples: int = Field(ge=1)
    metric: str = "accuracy"
    others: dict[str, float] = {}


class Measurement(Record):
    """One file, on one device, at one number of threads and one sequence length.

    An emulator's record may leave out what only a real device can tell: samples, percentiles, load and first inference,
    memory. Every other record holds them all.

    Attributes:
        schema_version: Of this record.
        name: Title of its row in a table.
        bundle: The bundle the file belongs to.
        file: Path within the bundle.
        format: Key of the bundle's formats, such as `onnx-int8`.
        sha256: Of the file.
        bytes: Size of the file.
        runtime: Name of the runtime.
        runtime_version: Its version.
        threads: Threads one inference may use.
        sequence_length: Tokens an inference, none of them padding.
        batch: Examples an inference.
        scenario: `single-stream`: the next inference starts when the last has ended, as MLPerf defines it; `offline`:
            a sample is a whole batch, of which all examples were there from the start.
        session: Names the run; measurements of one session were interleaved with one another.
        samples_ms: Every timed inference, in the order taken.
        blocks: Samples a block; block i was measured in round i of the session.
        p50_ms: Median latency.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        load_ms: From the file on disk to a model ready to run, runtime already imported.
        first_ms: The first inference after loading.
        warmup_ms: Spent until latencies were stable, the first inference left out.
        peak_memory_mb: Peak resident memory of a whole process (10^6 bytes) that imports the runtime, loads the file
            and runs a few inferences, and does nothing else.
        runtime_memory_mb: The same process's peak before it loads the file: Python, numpy and the runtime.
        device_memory_mb: Peak memory of an accelerator (10^6 bytes) in the same process; None where there is none.
        throughput_per_second: Examples a second of inferences back to back.
        tokenise_ms: Turning one text into token ids, which no latency holds.
        energy_mj: Energy an inference, in millijoules, where the device meters it: of all that its meter sees while it
            infers back to back, idle power included.
        instructions: Instructions an inference by kind, one thread, counted by an emulator: `total`, and such as
            `multiply_accumulate`, `dot_product`, `load_store`.
        task: What the model does, as the bundle's manifest names it.
        accuracy: On the evaluation set, by this file; None where no set was given.
        predictions: Example id to prediction, in the task's JSON form: a label's number, a value, spans or a text.
        labels: Example id to reference, in the task's JSON form.
        device: What it ran on.
        conditions: What the device was doing meanwhile.
        precise: Whether p50's interval became as narrow as asked for.
        started: UTC, ISO 8601.
        emulated: Whether the processor was emulated; its times are then not those of a device.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str
    bundle: str
    file: str
    format: str
    sha256: str
    bytes: int = Field(ge=0)
    runtime: str
    runtime_version: str
    threads: int = Field(ge=1)
    sequence_length: int = Field(ge=1)
    batch: int = Field(default=1, ge=1)
    scenario: Scenario = "single-stream"
    session: str = ""
    samples_ms: list[float] = []
    blocks: list[int] = []
    p50_ms: Interval | None = None
    p90_ms: Interval | None = None
    p99_ms: Interval | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    warmup_ms: float = 0.0
    peak_memory_mb: float | None = None
    runtime_memory_mb: float = 0.0
    device_memory_mb: float | None = None
    throughput_per_second: float | None = None
    tokenise_ms: Interval | None = None
    energy_mj: Interval | None = None
    instructions: dict[str, Annotated[int, Field(ge=0)]] | None = None
    task: str = "text-classification"
    accuracy: Accuracy | None = None
    predictions: dict[str, JsonValue] = {}
    labels: dict[str, JsonValue] = {}
    device: DeviceFacts
    conditions: Conditions
    precise: bool = True
    started: str
    emulated: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Measurement:
        if self.blocks and sum(self.blocks) != len(self.samples_ms):
            raise ValueError(f"blocks hold {sum(self.blocks)} samples, samples_ms {len(self.samples_ms)}")
        absent = [name for name in _TIMED if getattr(self, name) in (None, [])]
        if absent and not self.emulated:
            raise ValueError(f"{absent[0]} is missing, which only an emulator's record may leave out")
        if self.p50_ms is not None and self.p50_ms.low <= 0:
            raise ValueError("p50_ms is not above 0, and no inference takes no time")
        if self.instructions is not None and "total" not in self.instructions:
            raise ValueError("instructions have no 'total'")
        return self

    @property
    def rounds(self) -> list[list[float]]:
        """The samples a round, in ms; one round where blocks were not recorded."""
        ends = list(accumulate(self.blocks or [len(self.samples_ms)]))
        return [self.samples_ms[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def speedup(of: Measurement, over: Measurement) -> Interval:
    """Returns how many times faster one measurement's median is than another's.

    Rounds of one interleaved session are compared pairwise, so that the machine's drift cancels; anything else is
    compared by the intervals of the two medians, which do not know how the machine drifted between the sessions.

    Args:
        of: The file whose speed is asked for.
        over: The file it is held against; a result above 1 says `of` is faster.

    Returns:
        `over`'s latency divided by `of`'s, with its 95 % interval.

    Raises:
        ValueError: When one of them has no samples, being an emulator's.
    """
    shared = min(len(of.blocks), len(over.blocks))
    if of.session and of.session == over.session and shared >= 2:
        return Interval.of(paired_ratio_interval(over.rounds[:shared], of.rounds[:shared]))
    new, old = over.p50_ms, of.p50_ms
    if new is None or old is None:
        raise ValueError("an emulator's record has no times to compare")
    value, low, high = ratio_interval((new.value, new.low, new.high), (old.value, old.low, old.high))
    return Interval(value=value, low=low, high=high, attained=new.attained and old.attained)


def write_measurements(path: Path, measurements: Iterable[Measurement]) -> None:
    """Writes one JSON line a measurement, the file appearing whole or not at all.

    Raises:
        EdgeDistilError: When the disk is full or the folder cannot be written.
    """
    write_text(path, "".join(record.model_dump_json() + "\n" for record in measurements))


def read_measurements(path: Path) -> list[Measurement]:
    """Reads what `write_measurements` wrote.

    Raises:
        UsageError: When the file cannot be read, or a line is no measurement; names the line and the first fault.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read ({error})", where=str(path), cure="name a measurements file") from error
    return [_parse(line, path, number) for number, line in enumerate(lines, 1) if line.strip()]


def _parse(line: str, path: Path, number: int) -> Measurement:
    where = f"{path}, line {number}"
    cure = "write it again with: edgedistil bench"
    try:
        fields = json.loads(line)
        version = fields.get("schema_version") if isinstance(fields, dict) else None
        if version != SCHEMA_VERSION:
            newer = isinstance(version, int) and version > SCHEMA_VERSION
            cure = "upgrade edgedistil: pip install -U edgedistil" if newer else cure
            raise UsageError(f"measurement of schema version {version}, not {SCHEMA_VERSION}", where=where, cure=cure)
        return Measurement.model_validate(fields)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"not JSON ({error})", where=where, cure=cure) from error
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"]) or "record"
        raise UsageError(f"{key}: {fault['msg']}", where=where, cure=cure) from error


def find(measurements: Sequence[Measurement], name: str) -> Measurement | None:
    """Returns the measurement of a row title, or None."""
    return next((record for record in measurements if record.name == name), None)
