"""What is to be measured: one case a file, runtime, number of threads, sequence length and batch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from edgedistil.bench.measurement import Scenario
from edgedistil.bench.runner import runtimes
from edgedistil.bench.scores import Examples
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.read import Bundle
from edgedistil.errors import UsageError

RUNNER = "edgedistil.bench.runner"
# Signatures of a `.tflite` file have one row.
_ONE_EXAMPLE = ("litert",)


@dataclass(frozen=True)
class Case:
    """One file to be measured in one way.

    Attributes:
        name: Title of its row; unique within a run.
        bundle: Name of the bundle.
        path: The file.
        format: Key of the bundle's formats.
        runtime: Runtime that opens it.
        threads: Threads one inference may use.
        sequence_length: Tokens an inference.
        worker_module: Started with `python -m`; it speaks the runner's protocol. The host world names a module of its
            own that registers PyTorch as a runtime and then calls `edgedistil.bench.runner.worker.main`.
        file: Path within the bundle, for the record; the file's name where left out.
        batch: Examples an inference. 1 is MLPerf's single-stream scenario: the next starts when the last has ended;
            more is its offline scenario, in which all examples are there from the start and throughput counts.
        tokenizer: The bundle's `tokenizer.json`, whose own time is measured apart; None leaves that out.
        examples: What its file is scored on, where that is not the bench's: the same texts in another vocabulary's ids.
    """

    name: str
    bundle: str
    path: Path
    format: str
    runtime: str
    threads: int
    sequence_length: int
    worker_module: str = RUNNER
    file: str = ""
    batch: int = 1
    tokenizer: Path | None = None
    examples: Examples | None = None

    @property
    def scenario(self) -> Scenario:
        """What its inferences are, as MLPerf names it."""
        return "single-stream" if self.batch == 1 else "offline"

    @property
    def brings_worker(self) -> bool:
        """Whether its worker is another's than the runner."""
        return self.worker_module != RUNNER


def cases_of(
    bundle: Bundle,
    threads: int,
    sequence_length: int,
    formats: Collection[str] | None = None,
    opens: Collection[str] | None = None,
) -> list[Case]:
    """Returns a case for each file of a bundle and each runtime that opens it.

    Args:
        bundle: An opened bundle.
        threads: Threads one inference may use.
        sequence_length: Tokens an inference.
        formats: Only these; None for all.
        opens: The runtimes, as the formats name them, whose files the device takes; None for each file's usual one.

    Returns:
        The cases, in the order of `FORMATS`, named by the formats' titles and by any runtime but the usual one.

    Raises:
        UsageError: When threads or length is below 1 or beyond the model's, or a format is not in the bundle, or has
            no runtime here.
    """
    longest = bundle.manifest.max_length
    if threads < 1:
        raise UsageError(f"threads is {threads}", cure="give at least 1")
    if not 1 <= sequence_length <= longest:
        raise UsageError(
            f"sequence length is {sequence_length}", where=str(bundle.folder), cure=f"give between 1 and {longest}"
        )
    for name in formats or ():
        bundle.path(name)
        if not _openers(name, opens):
            raise UsageError(
                f"format '{name}' cannot be benched by itself", cure="choose an exported format such as onnx-int8"
            )
    pairs = [
        (name, runtime)
        for name in bundle.formats
        if formats is None or name in formats
        for runtime in _openers(name, opens)
    ]
    if not pairs:
        raise UsageError("no file that can be benched", where=str(bundle.folder), cure="export it to ONNX or TFLite")
    return [
        Case(
            name=FORMATS[name].title_in(runtime),
            bundle=bundle.manifest.name,
            path=bundle.path(name),
            format=name,
            runtime=runtime,
            threads=threads,
            sequence_length=sequence_length,
            file=bundle.path(name).relative_to(bundle.folder).as_posix(),
            tokenizer=bundle.tokenizer_path,
        )
        for name, runtime in pairs
    ]


def _openers(name: str, opens: Collection[str] | None) -> list[str]:
    """Returns the runtimes in which a format is measured."""
    if opens is not None:
        return [runtime for runtime in FORMATS[name].runtimes if runtime in opens]
    return [runtime for runtime in FORMATS[name].runtimes[:1] if runtime in runtimes.names()]


@dataclass(frozen=True)
class Grid:
    """The settings whose every combination is measured.

    Attributes:
        threads: Threads an inference may use.
        sequence_lengths: Tokens an inference.
        batches: Examples an inference.
    """

    threads: Sequence[int]
    sequence_lengths: Sequence[int]
    batches: Sequence[int] = (1,)


def grid_cases(
    bundle: Bundle, grid: Grid, formats: Collection[str] | None = None, opens: Collection[str] | None = None
) -> tuple[list[Case], list[str]]:
    """Returns a case for each file and each combination of a grid.

    Args:
        bundle: An opened bundle.
        grid: The settings; a value given twice counts once.
        formats: Only these; None for all, as `cases_of` takes them.
        opens: As `cases_of` takes it.

    Returns:
        The cases, named by their file and by whatever varies in the grid; and a line for each file that is left out
        of a batch, its shapes being fixed at one example.

    Raises:
        UsageError: As `cases_of`, and when a batch is below 1 or nothing is left.
    """
    axes = [list(dict.fromkeys(axis)) for axis in (grid.threads, grid.sequence_lengths, grid.batches)]
    if not all(axes) or min(axes[2]) < 1:
        raise UsageError(f"batch is {min(axes[2], default=0)}", cure="give at least 1")
    cases: list[Case] = []
    left_out: dict[str, None] = {}
    for threads, length, batch in product(*axes):
        for case in cases_of(bundle, threads, length, formats, opens):
            if batch > 1 and case.runtime in _ONE_EXAMPLE:
                left_out[f"{case.name} is made for batch 1: left out of larger ones"] = None
                continue
            words = [f"{threads} thread{'s' * (threads > 1)}", f"{length} tokens", f"batch {batch}"]
            varying = [word for word, axis in zip(words, axes, strict=True) if len(axis) > 1]
            cases.append(replace(case, name=", ".join([case.name, *varying]), batch=batch))
    if not cases:
        raise UsageError(next(iter(left_out)), where=str(bundle.folder), cure="give --batch 1, or an ONNX format")
    return cases, list(left_out)
