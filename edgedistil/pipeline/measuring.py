"""The bench of a run: the teacher's and the student's files and the bundle's, in one interleaved session."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from edgedistil.bench.cases import Case, cases_of
from edgedistil.bench.measurement import write_measurements
from edgedistil.bench.scores import Examples
from edgedistil.bench.settings import BenchSettings
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.read import Bundle, open_bundle
from edgedistil.devices.profile import Device
from edgedistil.errors import EdgeDistilError
from edgedistil.pipeline.stage import StageContext
from edgedistil.pipeline.stages.context import Build

_PYTORCH_WORKER = "edgedistil.models.worker"


def measure(build: Build, device: Device, context: StageContext) -> dict[str, Any]:
    """Measures every file and writes `measurements.jsonl`, the teacher first.

    Returns:
        The summary: a line for each file that could not be measured.

    Raises:
        EdgeDistilError: When none could.
    """
    bench = build.recipe.bench
    bundle = open_bundle(context.inputs["bundle"] / "bundle", verify=False)
    cases = _cases(build, device, context, bundle)
    settings = BenchSettings(max_seconds=bench.seconds_per_file, cool_below_c=device.profile.cool_below_c)
    result = device.bench(cases, Examples.of(bundle), settings, context.progress)
    for line in failure_lines(result.failures):
        context.progress.say(f"edgedistil: {line}")
    if not result.measurements:
        raise next(iter(result.failures.values()), EdgeDistilError("no file was measured", where=device.profile.name))
    first = result.measurements[0]
    if not first.name.startswith("teacher, "):
        # A teacher may be too large for a device that runs all that ships.
        context.progress.say(f"edgedistil: the teacher was not measured: speeds are held against {first.name}")
    write_measurements(context.folder / "measurements.jsonl", result.measurements)
    return {"failures": {name: error.line() for name, error in result.failures.items()}}


def failure_lines(failures: Mapping[str, EdgeDistilError]) -> list[str]:
    """Returns a line for each reason that files were not measured: a missing runtime fails many for one."""
    alike: dict[tuple[str, str | None], list[str]] = {}
    for name, error in failures.items():
        alike.setdefault((error.what, error.cure), []).append(name)
    lines = []
    for (what, cure), names in alike.items():
        reason = failures[names[0]] if len(names) == 1 else EdgeDistilError(what, cure=cure)
        lines.append(f"{'; '.join(names)} not measured: {reason.line()}")
    return lines


def _cases(build: Build, device: Device, context: StageContext, bundle: Bundle) -> list[Case]:
    threads = build.recipe.bench.threads or device.threads
    length = build.recipe.bench_length
    shipped = "pruned" if build.recipe.prune else "student"
    cases = []
    for which in ("teacher", "student"):
        folder = context.inputs.get(f"reference-{which}")
        if folder:
            reference = open_bundle(folder / "bundle", verify=False)
            own = _own_examples(build, reference)
            cases += [
                replace(case, name=f"{which}, {case.name}", examples=own)
                for case in _reference_cases(reference, threads, length, device.profile.opens)
            ]
    weights = bundle.manifest.record("pytorch")
    if weights:
        path = bundle.folder / weights.path
        title = FORMATS["pytorch"].title
        cases.append(
            Case(
                f"{shipped}, {title}",
                bundle.manifest.name,
                path,
                "pytorch",
                "pytorch",
                threads,
                length,
                worker_module=_PYTORCH_WORKER,
                file=weights.path,
            )
        )
    cases += [
        replace(case, name=f"{shipped}, {case.name}")
        # PyTorch's weights have their case above.
        for case in cases_of(bundle, threads, length, opens=device.profile.opens - {"pytorch"})
    ]
    return cases


def _reference_cases(reference: Bundle, threads: int, length: int, opens: Collection[str]) -> list[Case]:
    """Returns a case a file of a reference that the device opens, in the first of the format's runtimes there."""
    opened = [
        name for name in reference.formats if set(opens).intersection(FORMATS[name].runtimes) and name != "pytorch"
    ]
    cases: dict[str, Case] = {}
    for case in cases_of(reference, threads, length, opened, opens) if opened else ():
        cases.setdefault(case.format, case)
    return list(cases.values())


def _own_examples(build: Build, reference: Bundle) -> Examples | None:
    """Returns the same texts in a reference's own ids, where the shipped vocabulary is another."""
    prune = build.recipe.prune
    return Examples.of(reference) if prune and prune.vocabulary else None
