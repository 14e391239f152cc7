"""`edgedistil baseline set` and `edgedistil gate`: what is to be held, and the judgement against it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistil.cli.bench import (
    BundleArgument,
    DeviceOption,
    FormatOption,
    LengthOption,
    SecondsOption,
    ThreadsOption,
)

if TYPE_CHECKING:
    # The command line starts fast: these are imported where they are used.
    from edgedistil.bench.measurement import Measurement
    from edgedistil.bench.process import CaseError
    from edgedistil.bundle.read import Bundle
    from edgedistil.cli.measure import Ask
    from edgedistil.gate.baseline import Baseline
    from edgedistil.gate.limits import GateLimits

baseline_app = typer.Typer(help="Store what a later bundle is to be held to.", no_args_is_help=True)
_Measurements = Annotated[
    Path | None,
    typer.Option("--measurements", help="Judge these (from `bench --output`) rather than measure anew."),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(baseline_app, name="baseline")
    app.command("gate")(gate)


@baseline_app.command("set")
def baseline_set(
    bundle: BundleArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write; benchmarks/baselines/NAME.json by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older baseline.")] = False,
    device: DeviceOption = "local",
    threads: ThreadsOption = None,
    sequence_length: LengthOption = None,
    formats: FormatOption = None,
    seconds: SecondsOption = None,
    measurements: _Measurements = None,
) -> None:
    """Measure a bundle and store its predictions, times, sizes and device.

    Example: `edgedistil baseline set runs/quickstart/bundle`
    """
    from edgedistil.bundle.records import check, check_place
    from edgedistil.cli.measure import Ask
    from edgedistil.errors import UsageError
    from edgedistil.gate.baseline import baseline_from_measurements, write_baseline
    from edgedistil.gate.limits import GateLimits

    ask = Ask(device, threads, sequence_length, tuple(formats or ()), seconds)
    opened = _open(bundle)
    name = opened.manifest.name
    target = output or Path("benchmarks/baselines") / f"{name}.json"
    if target.exists() and not force:
        raise UsageError("a baseline is there already", where=str(target), cure="give --force to replace it")
    check_place(target)
    limits = check(opened.manifest.recipe.get("gate", {}), GateLimits, where=f"{bundle}: gate of its recipe")
    if measurements is None:
        _example_ids(opened)
    found, failures = _measured(opened, ask, measurements)
    _refuse_broken(failures, str(bundle))
    held = baseline_from_measurements(found, name=name, bundle=name, limits=limits)
    write_baseline(held, target, force=force)
    _tell_doubts([made for made in found if made.bundle == name])
    typer.echo(f"baseline of {len(held.entries)} files written: {target}")


def gate(
    bundle: BundleArgument,
    baseline: Annotated[Path, typer.Option("--baseline", help="What `baseline set` wrote.", show_default=False)],
    device: DeviceOption = "local",
    formats: FormatOption = None,
    seconds: SecondsOption = None,
    measurements: _Measurements = None,
    margin: Annotated[
        float | None,
        typer.Option("--margin", help="Headline score that may be lost, as a share; the baseline's by default."),
    ] = None,
    latency_ratio: Annotated[
        float | None, typer.Option("--latency-ratio", help="p50 may be so many times the baseline's.")
    ] = None,
    instructions_ratio: Annotated[
        float | None,
        typer.Option("--instructions-ratio", help="Instructions counted may be so many times the baseline's."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Judge a bundle against a baseline. Exit code 0: pass, 1: fail, 3: inconclusive.

    Example: `edgedistil gate runs/quickstart/bundle --baseline benchmarks/baselines/quickstart.json`
    """
    from edgedistil.gate.baseline import read_baseline
    from edgedistil.gate.quality import nothing_in_common
    from edgedistil.gate.render import render_json, render_text
    from edgedistil.gate.verdict import check_task, judge

    held, opened = read_baseline(baseline), _open(bundle)
    wanted = tuple(formats or ())
    for name in wanted:
        opened.path(name)
    limits = _limits(held, margin=margin, latency_ratio=latency_ratio, instructions_ratio=instructions_ratio)
    ask = _as_held(held, device, wanted, seconds)
    check_task(held, opened.manifest.task, opened.manifest.name)
    if measurements is None and held.labels.keys().isdisjoint(_example_ids(opened)):
        raise nothing_in_common(held, str(bundle))
    found, failures = _measured(opened, ask, measurements)
    verdict = judge(held, found, limits, list(wanted) or None, bundle=opened.manifest.name, failures=failures)
    typer.echo(render_json(verdict) if as_json else render_text(verdict))
    raise typer.Exit(verdict.exit_code)


def _refuse_broken(failures: list[CaseError], where: str) -> None:
    """Refuses a bundle of which a file fails: a baseline without that would hold no later one to it.

    Raises:
        EdgeDistilError: For the first.
    """
    from edgedistil.errors import EdgeDistilError

    broken = [failure.case.name for failure in failures if failure.refused]
    if broken:
        raise EdgeDistilError(
            f"a baseline without '{broken[0]}' would hold no later bundle to it",
            where=where,
            cure="mend that file, or name those to hold with --format",
        )


def _tell_doubts(held: list[Measurement]) -> None:
    """Says which times to hold may be longer than they should be: slower files than these would pass."""
    for made in held:
        reasons = "; ".join(made.conditions.doubts())
        if reasons:
            typer.echo(f"edgedistil: {made.name}: {reasons}; its time holds little: set it again at rest", err=True)


def _open(bundle: Path) -> Bundle:
    from edgedistil.bundle.read import open_bundle

    return open_bundle(bundle)


def _example_ids(bundle: Bundle) -> list[str]:
    """Returns the ids of the examples that a bundle's files are scored on.

    Raises:
        UsageError: When it has none, or they cannot be read.
    """
    from edgedistil.bench.scores import Examples, Scorer
    from edgedistil.errors import UsageError

    examples = Examples.of(bundle)
    if examples is None:
        raise UsageError(
            "the bundle has no evaluation set to score its files on",
            where=str(bundle.folder),
            cure="export it again, or give --measurements of files that were scored",
        )
    ids: list[str] = Scorer(examples).tokens.ids.tolist()
    return ids


def _limits(held: Baseline, **changed: float | None) -> GateLimits:
    """Returns a baseline's limits with the options' own; before anything is measured, for some may be no limits."""
    from pydantic import ValidationError

    from edgedistil.errors import UsageError
    from edgedistil.gate.limits import GateLimits

    given = {name: value for name, value in changed.items() if value is not None}
    try:
        return GateLimits.model_validate(held.limits.model_dump() | given)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        cure = "a share, such as 0.01 for one point" if name == "margin" else "a ratio above 0, such as 1.1"
        where = f"--{name.replace('_', '-')}"
        raise UsageError(f"{given[name]:g} is no limit", where=where, cure=f"give {cure}") from None


def _as_held(held: Baseline, device: str, formats: tuple[str, ...], seconds: float | None) -> Ask:
    """Returns what measures a bundle as a baseline's was: run in any other way, it has nothing to be compared with."""
    from edgedistil.cli.measure import Ask
    from edgedistil.gate.verdict import held_entries

    entries = held_entries(held, formats or None)
    threads, lengths, batches = (
        tuple(sorted({getattr(entry, name) for entry in entries})) for name in ("threads", "sequence_length", "batch")
    )
    return Ask(device, threads, lengths, formats, seconds, batches)


def _measured(bundle: Bundle, ask: Ask, measurements: Path | None) -> tuple[list[Measurement], list[CaseError]]:
    """Returns a bundle's measurements, read or made, and why some of its files have none."""
    from edgedistil.bench.measurement import read_measurements
    from edgedistil.bench.process import CaseError
    from edgedistil.cli.measure import measure_bundle

    if measurements is None:
        result = measure_bundle(bundle.folder, ask)
        return result.measurements, [error for error in result.failures.values() if isinstance(error, CaseError)]
    found = read_measurements(measurements)
    _refuse_others(bundle, found, str(measurements))
    return found, []


def _refuse_others(bundle: Bundle, found: list[Measurement], where: str) -> None:
    """Refuses measurements under a bundle's name that are of other files than it holds.

    Raises:
        UsageError: For the first.
    """
    from edgedistil.errors import UsageError

    for made in found:
        record = bundle.manifest.record(made.format) if made.bundle == bundle.manifest.name else None
        if made.bundle == bundle.manifest.name and (record is None or record.sha256 != made.sha256):
            cure = f"measure those: edgedistil bench {bundle.folder} --output {where}"
            raise UsageError(
                f"'{made.name}' was measured on another file than the bundle holds", where=where, cure=cure
            )
