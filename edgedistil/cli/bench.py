"""`edgedistil bench`: a bundle's files measured on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedistil.cli.console import open_console

BundleArgument = Annotated[
    Path, typer.Argument(help="A bundle's folder, such as runs/quickstart/bundle.", show_default=False)
]
DeviceOption = Annotated[str, typer.Option("--device", help="A profile in devices/; `local` is this machine.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads an inference may use; the device's cores by default.")
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


def bench(
    bundle: BundleArgument,
    device: DeviceOption = "local",
    threads: ThreadsOption = None,
    sequence_length: LengthOption = None,
    formats: FormatOption = None,
    seconds: SecondsOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the measurements, one JSON line each.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --output replace a file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure latency, memory and accuracy of every file of a bundle, interleaved.

    Example: `edgedistil bench runs/quickstart/bundle --threads 1 --sequence-length 128`
    """
    from edgedistil.bench.measurement import write_measurements
    from edgedistil.cli.measure import Ask, measure_bundle
    from edgedistil.errors import UsageError
    from edgedistil.report.table import make_rows, render_json, render_table

    if output and output.exists() and not force:
        raise UsageError("the file exists", where=str(output), cure="give --force to replace it, or another name")
    ask = Ask(device, threads, sequence_length, tuple(formats or ()), seconds)
    _, measurements = measure_bundle(bundle, ask)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_measurements(output, measurements)
    rows = make_rows(measurements)
    if as_json:
        typer.echo(render_json(rows))
    else:
        open_console().print(render_table(rows))
