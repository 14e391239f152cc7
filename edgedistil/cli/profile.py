"""`edgedistil profile`: a device's latency table, for pruning to a latency."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedistil.cli.console import open_console


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("profile")(profile)


def profile(
    device: Annotated[str, typer.Argument(help="A profile; `edgedistil devices` lists them.")],
    shape: Annotated[
        list[Path],
        typer.Option("--shape", help="A recipe, a bundle or a model's folder: whose sizes. May be repeated."),
    ],
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="What will ship, such as onnx-int8; the recipe's prune.format by default."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Threads an inference may use; the recipe's or the device's by default."),
    ] = None,
    sequence_length: Annotated[
        int | None, typer.Option("--sequence-length", min=4, help="Tokens; the recipe's bench.sequence_length.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again, even if nothing has changed.")] = False,
    picture: Annotated[Path | None, typer.Option("--picture", help="Also draw the table, as SVG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure what each head and FFN width costs on a device; kept until device, runtime or shape changes.

    Example: `edgedistil profile local --shape export/sst2.yaml --format tflite-int8`
    """
    import json

    from edgedistil.bundle.records import check_place, write_text
    from edgedistil.cli.measure import device_folders
    from edgedistil.devices.profile import connect, load_profile
    from edgedistil.errors import require
    from edgedistil.progress import TerminalProgress
    from edgedistil.report.latency import draw_table, lines_of

    for module in ("torch", "transformers"):
        require(module, "host")
    if picture:
        require("matplotlib", "report")
        check_place(picture)
    from edgedistil.pipeline.latency_tables import settings_of
    from edgedistil.profiling.table import table_for

    progress = TerminalProgress()
    opened = connect(load_profile(device, device_folders()))
    tables = []
    for source in shape:
        asked = settings_of(source, formats or [], threads, sequence_length, device_threads=opened.threads)
        tables += [table_for(opened, setting, asked.cache, progress, fresh=fresh) for setting in asked.settings]
    if picture:
        for number, table in enumerate(tables):
            path = picture if len(tables) == 1 else picture.with_stem(f"{picture.stem}-{number}")
            write_text(path, draw_table(table))
    if as_json:
        typer.echo(json.dumps([table.model_dump(mode="json") for table in tables], indent=1))
    else:
        for table in tables:
            open_console().print(lines_of(table))
