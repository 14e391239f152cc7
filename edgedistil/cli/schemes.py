"""`edgedistil schemes`: every format that can be made, and how its numbers are written."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from edgedistil.cli.console import open_console


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("schemes")(schemes)


def schemes(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the formats of a bundle's files: what is quantised, how, and which runtimes and processors it is for.

    Example: `edgedistil schemes`
    """
    from edgedistil.bundle.formats import FORMATS

    made = [entry for entry in FORMATS.values() if entry.name != "pytorch"]
    if as_json:
        rows = [
            {"format": entry.name, "file": entry.path, "runtimes": entry.runtimes, **_facts(asdict(entry.scheme))}
            for entry in made
        ]
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("format", "scheme", "weights", "embeddings", "activations", "a scale each", "calibrated", "meant for"):
        table.add_column(name, no_wrap=name in ("format", "scheme"))
    for entry in made:
        scheme = entry.scheme
        written = (scheme.weights, scheme.embeddings, scheme.activations, scheme.granularity)
        table.add_row(entry.name, scheme.name, *written, "yes" if scheme.calibrated else "no", scheme.meant_for)
    open_console().print(table)


def _facts(scheme: dict[str, object]) -> dict[str, object]:
    return {"scheme": scheme.pop("name"), **scheme}
