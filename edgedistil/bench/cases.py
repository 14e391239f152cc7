"""What is to be measured: one case a file, runtime, number of threads and sequence length."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from edgedistil.bench.runner import runtimes
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.read import Bundle
from edgedistil.errors import UsageError

RUNNER = "edgedistil.bench.runner"


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

    @property
    def brings_worker(self) -> bool:
        """Whether its worker is another's than the runner."""
        return self.worker_module != RUNNER


def cases_of(bundle: Bundle, threads: int, sequence_length: int, formats: Collection[str] | None = None) -> list[Case]:
    """Returns a case for each file of a bundle that the runner has a runtime for.

    Args:
        bundle: An opened bundle.
        threads: Threads one inference may use.
        sequence_length: Tokens an inference.
        formats: Only these; None for all. PyTorch weights are passed over unless asked for by name.

    Returns:
        The cases, in the order of `FORMATS`, named by the formats' titles.

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
    known = runtimes.names()
    if formats is None:
        chosen = [name for name in bundle.formats if FORMATS[name].runtime in known]
    else:
        for name in formats:
            bundle.path(name)
            if FORMATS[name].runtime not in known:
                raise UsageError(
                    f"format '{name}' cannot be benched by itself", cure="choose an exported format such as onnx-int8"
                )
        chosen = [name for name in bundle.formats if name in formats]
    if not chosen:
        raise UsageError("no file that can be benched", where=str(bundle.folder), cure="export it to ONNX or TFLite")
    return [
        Case(
            name=FORMATS[name].title,
            bundle=bundle.manifest.name,
            path=bundle.path(name),
            format=name,
            runtime=FORMATS[name].runtime,
            threads=threads,
            sequence_length=sequence_length,
            file=bundle.path(name).relative_to(bundle.folder).as_posix(),
        )
        for name in chosen
    ]
