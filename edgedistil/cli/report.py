"""`edgedistil report`: the table and the HTML of a run, or of measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedistil.cli.console import open_console


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("report")(report)


def report(
    run: Annotated[
        Path, typer.Argument(help="A run's folder (runs/NAME) or a file of measurements.", show_default=False)
    ],
    html: Annotated[
        Path | None, typer.Option("--html", help="Where to write the HTML; RUN/report.html for a run.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Print a run's table and write its report anew.

    Example: `edgedistil report runs/quickstart`
    """
    from edgedistil.bench.measurement import read_measurements
    from edgedistil.bundle.read import open_bundle
    from edgedistil.errors import UsageError
    from edgedistil.report.html import write_report
    from edgedistil.report.table import make_rows, render_json, render_markdown, render_table

    source = run / "measurements.jsonl" if run.is_dir() else run
    if not source.is_file():
        raise UsageError("no measurements there", where=str(source), cure="make them with: edgedistil run RECIPE")
    measurements = read_measurements(source)
    bundle = open_bundle(run / "bundle") if (run / "bundle").is_dir() else None
    rows = make_rows(measurements)
    target = html or (run / "report.html" if run.is_dir() else None)
    if target:
        write_report(target, measurements, bundle)
    if as_json:
        typer.echo(render_json(rows))
    elif markdown:
        typer.echo(render_markdown(rows))
    else:
        open_console().print(render_table(rows))
        if target:
            open_console().print(f"report: {target}", highlight=False)
