"""`edgedistil predict`: labels, scores, spans or answers for texts, by a bundle's own file."""

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
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; `-` or none reads one a line, and pairs parted by a tab.")
    ] = None,
    pair: Annotated[
        list[str] | None, typer.Option("--pair", help="Second text, one for each text; for tasks on pairs.")
    ] = None,
    question: Annotated[
        list[str] | None, typer.Option("--question", help="A question about --context; may be repeated.")
    ] = None,
    context: Annotated[str | None, typer.Option("--context", help="The text that holds the answers.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Which file; by default the int8 one whose runtime is installed.")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads; all cores by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Answer texts with a bundle: a label, a score, spans or an answer, as its task is. Needs no torch.

    Example: `edgedistil predict runs/quickstart/bundle "A warm, funny, wonderful film."`
    """
    from edgedistil.bundle.read import open_bundle
    from edgedistil.predict import Predictor
    from edgedistil.predictions import as_json as fields
    from edgedistil.quiet import silence

    predictor = Predictor(open_bundle(Path(bundle)), file_format, threads)
    inputs = _inputs([*(texts or []), *(question or [])], pair, context, paired=predictor.takes_pairs)
    with silence():  # a runtime greets the terminal when it first runs
        answers = predictor.predict(inputs)
    for given, found in zip(inputs, answers, strict=True):
        first, second = given if isinstance(given, tuple) else (given, None)
        if as_json:
            named = {predictor.names[0]: first} | ({} if second is None else {predictor.names[1]: second})
            typer.echo(json.dumps(named | fields(found), ensure_ascii=False))
        else:
            typer.echo(found.summary(first if second is None or context else f"{first}\t{second}"))


def _inputs(
    texts: list[str], pair: list[str] | None, context: str | None, *, paired: bool
) -> list[str | tuple[str, str]]:
    """Returns what the options and standard input name together."""
    from edgedistil.errors import UsageError

    if pair and context:
        raise UsageError("--pair and --context are given", cure="give --context for questions, --pair for pairs")
    if not texts or texts == ["-"]:
        # A shell's `<&-` closes it: there is none then.
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("no text given", cure='for example: edgedistil predict BUNDLE "A fine film."')
        texts = _lines()
        if paired and context is None:
            return [_parted(line, number) for number, line in enumerate(texts, 1)]
    if context is not None:
        return [(text, context) for text in texts]
    if pair:
        if len(pair) != len(texts):
            raise UsageError(f"{len(texts)} texts and {len(pair)} --pair", cure="give one --pair for each text")
        return list(zip(texts, pair, strict=True))
    return list(texts)


def _parted(line: str, number: int) -> tuple[str, str]:
    from edgedistil.errors import UsageError

    first, tab, second = line.partition("\t")
    if not tab:
        raise UsageError("the line has no tab", where=f"standard input:{number}", cure="give two texts parted by a tab")
    return first, second


def _lines() -> list[str]:
    from edgedistil.errors import UsageError

    try:
        # Not splitlines: a text may hold other characters that part lines, and keeps them.
        return [line.rstrip("\r\n") for line in sys.stdin]
    except UnicodeDecodeError:
        raise UsageError("standard input is not UTF-8", cure="convert it, for example with iconv") from None
