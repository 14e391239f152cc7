"""`edgedistil bench`: a bundle's files measured on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedistil.cli.console import open_console

BundleArgument = Annotated[
    Path, typer.Argument(help="A bundle's folder, such as runs/quickstart/bundle.", show_default=False)
]
DeviceOption = Annotated[str, typer.Option("--device", help="A profile; `edgedistil devices` lists them.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads an inference may use; the device's by default.")
]
LengthOption = Annotated[
    int | None,
    typer.Option("--sequence-length", min=1, help="Tokens an inference; the recipe's by default."),
]
FormatOption = Annotated[
    list[str] | None, typer.Option("--format", help="Only this format, such as onnx-int8. May be repeated.")
]
SecondsOption = Annotated[
    float | None, typer.Option("--seconds", min=0.1, help="Most timed seconds a file; the recipe's by default.")
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("bench")(bench)


def bench(  # noqa: PLR0913, PLR0917 - a command has as many options as it has
    bundle: BundleArgument,
    device: DeviceOption = "local",
    threads: Annotated[
        str | None,
        typer.Option("--threads", metavar="N[,N...]", help="Threads an inference may use; the device's by default."),
    ] = None,
    sequence_length: Annotated[
        str | None,
        typer.Option("--sequence-length", metavar="N[,N...]", help="Tokens an inference; the recipe's by default."),
    ] = None,
    batch: Annotated[
        str,
        typer.Option("--batch", metavar="N[,N...]", help="Examples an inference; more than 1 is the offline scenario."),
    ] = "1",
    formats: FormatOption = None,
    seconds: SecondsOption = None,
    cool_down: Annotated[
        float | None,
        typer.Option("--cool-down", min=1, help="Wait before each round until the device is below so many degrees C."),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Fail when a file was not measured, or was throttled, unstable or disturbed."),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the measurements, one JSON line each.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --output replace a file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure latency, memory and accuracy of every file of a bundle, interleaved.

    Example: `edgedistil bench runs/quickstart/bundle --device pi5 --threads 1,4 --batch 1,8`
    """
    from edgedistil.bench.measurement import write_measurements
    from edgedistil.bundle.records import check_place
    from edgedistil.cli.measure import Ask, measure_bundle, refuse_doubtful
    from edgedistil.errors import UsageError
    from edgedistil.report.table import make_rows, render_json, render_table

    if output and output.exists() and not force:
        raise UsageError("the file exists", where=str(output), cure="give --force to replace it, or another name")
    if output:
        check_place(output)
    lengths = numbers(sequence_length, "--sequence-length")
    batches = numbers(batch, "--batch") or (1,)
    wanted = tuple(formats or ())
    ask = Ask(device, numbers(threads, "--threads"), lengths, wanted, seconds, batches, cool_down)
    result = measure_bundle(bundle, ask)
    measurements = result.measurements
    if output:
        write_measurements(output, measurements)
    rows = make_rows(measurements)
    if as_json:
        typer.echo(render_json(rows))
    else:
        open_console().print(render_table(rows))
    if strict:
        result.complete()
        refuse_doubtful(measurements)


def numbers(text: str | None, option: str) -> tuple[int, ...]:
    """Reads `1,2,4`.

    Raises:
        UsageError: When it is no list of whole numbers from 1 on.
    """
    from edgedistil.errors import UsageError

    parts = [part.strip() for part in text.split(",")] if text is not None else []
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"{option} is '{text}'", cure="give whole numbers from 1 on, such as 1,2,4")
    return tuple(dict.fromkeys(map(int, parts)))
