"""`edgedistil report`: the table and the HTML of a run or of measurements, or of several side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistil.cli.console import open_console

if TYPE_CHECKING:
    # The command line starts fast: these are imported where they are used.
    from edgedistil.report.sources import Source


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("report")(report)


def report(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="A run's folder (runs/NAME), its bundle, a file of measurements, or a folder of several runs.",
            show_default=False,
        ),
    ],
    html: Annotated[
        Path | None, typer.Option("--html", help="Where to write the HTML; RUN/report.html for one run.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Print a run's table and write its report anew; or compare several runs or devices with the first.

    Example: `edgedistil report runs/quickstart`, `edgedistil report local.jsonl pi5.jsonl --html both.html`
    """
    from edgedistil.report.html import write_comparison, write_report
    from edgedistil.report.sources import open_sources

    sources = open_sources(places)
    if len(sources) == 1:
        (source,) = sources
        target = html or (source.folder / "report.html" if source.folder else None)
        if target:
            write_report(target, source.measurements, source.bundle)
    else:
        target = html
        if target:
            write_comparison(target, sources)
    _print(sources, markdown=markdown, as_json=as_json)
    if target and not (markdown or as_json):
        open_console().print(f"report: {target}", highlight=False, soft_wrap=True)


def _print(sources: list[Source], *, markdown: bool, as_json: bool) -> None:
    from edgedistil.report import compare, table

    if len(sources) > 1:
        comparison = compare.compare(sources)
        if as_json:
            typer.echo(compare.render_json(comparison))
        elif markdown:
            typer.echo(compare.render_markdown(comparison))
        else:
            open_console().print(compare.render_table(comparison))
        return
    rows = table.make_rows(sources[0].measurements)
    if as_json:
        typer.echo(table.render_json(rows))
    elif markdown:
        typer.echo(table.render_markdown(rows))
    else:
        open_console().print(table.render_table(rows))
