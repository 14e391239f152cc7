"""`edgedistil predict`: labels for texts, by a bundle's own file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from edgedistil.cli.bench import BundleArgument


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("predict")(predict)


def predict(
    bundle: BundleArgument,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts; `-` or none reads one a line.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Which file; by default the int8 one whose runtime is installed.")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads; all cores by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Label texts with a bundle. Needs no torch.

    Example: `edgedistil predict runs/quickstart/bundle "A warm, funny, wonderful film."`
    """
    from edgedistil.errors import UsageError
    from edgedistil.predict import predict as label_texts

    if not texts or texts == ["-"]:
        if sys.stdin.isatty():
            raise UsageError("no text given", cure='for example: edgedistil predict BUNDLE "A fine film."')
        texts = [line.rstrip("\n") for line in _lines()]
    for text, found in zip(texts, label_texts(Path(bundle), texts, format=file_format, threads=threads), strict=True):
        if as_json:
            typer.echo(json.dumps({"text": text, "label": found.label, "scores": found.scores}, ensure_ascii=False))
        else:
            typer.echo(f"{found.label}\t{found.scores[found.label]:.3f}\t{text}")


def _lines() -> list[str]:
    from edgedistil.errors import UsageError

    try:
        return sys.stdin.read().splitlines()
    except UnicodeDecodeError:
        raise UsageError("standard input is not UTF-8", cure="convert it, for example with iconv") from None
