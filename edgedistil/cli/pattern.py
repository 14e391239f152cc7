"""`edgedistil pattern`: what zeros inside the blocks of the weight matrices bring, in size and in time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedistil.cli.console import open_console


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("pattern")(pattern)


def pattern(
    source: Annotated[Path, typer.Argument(help="A bundle with its PyTorch weights, or a model's folder.")],
    block: Annotated[
        str, typer.Option("--block", metavar="ROWSxCOLUMNS", help="How matrices are cut into blocks.")
    ] = "64x32",
    along: Annotated[str, typer.Option("--along", help="What goes in each block: rows or columns.")] = "rows",
    sparsity: Annotated[float, typer.Option("--sparsity", help="Share of them that goes, 0 to 1.")] = 0.5,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="Only this format; may be repeated. Four by default.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="A profile; `edgedistil devices` lists them.")] = "local",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="The device's by default.")] = None,
    sequence_length: Annotated[int, typer.Option("--sequence-length", min=4, help="Tokens.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Tell what Li et al.'s pattern brings: zeros, compressed size, and time in each runtime, or "no gain here".

    In each block of every matrix the smallest rows or columns become 0; nothing is trained and nothing is kept.

    Example: `edgedistil pattern runs/sst2/bundle --block 64x32 --along rows --sparsity 0.5`
    """
    import json
    from dataclasses import asdict

    from edgedistil.cli.measure import device_folders
    from edgedistil.devices.profile import connect, load_profile
    from edgedistil.errors import require
    from edgedistil.progress import TerminalProgress

    for module in ("torch", "transformers"):
        require(module, "host")
    from edgedistil.pipeline.patterns import FORMATS, report_pattern
    from edgedistil.prune.pattern import parse_partition

    opened = connect(load_profile(device, device_folders()))
    report = report_pattern(
        source,
        parse_partition(block, along),
        sparsity,
        formats or FORMATS,
        opened,
        threads or opened.threads,
        sequence_length,
        TerminalProgress(),
    )
    if as_json:
        rows = [asdict(made) | {"speedup": made.speedup, "line": made.line()} for made in report.results]
        typer.echo(json.dumps({"results": rows, "score": report.score and asdict(report.score)}, indent=1))
        return
    console = open_console()
    for made in report.results:
        console.print(made.line(), highlight=False, markup=False, soft_wrap=True)
    if report.score:
        score = report.score
        line = f"{score.metric}: {100 * score.dense:.1f} dense, {100 * score.pattern:.1f} with the pattern, untrained"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
