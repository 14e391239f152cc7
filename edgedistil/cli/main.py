"""`edgedistil`: the commands joined, and the one place where errors become lines and exit codes."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import typer

import edgedistil
from edgedistil.cli import (
    bench,
    cache,
    devices,
    gate,
    initialise,
    pattern,
    predict,
    profile,
    report,
    run,
    schema,
    schemes,
)
from edgedistil.errors import EdgeDistilError
from edgedistil.quiet import quieten

app = typer.Typer(
    help="From a fine-tuned BERT and a device to a small model that is verified to run there.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(shown: bool) -> None:
    if shown:
        typer.echo(edgedistil.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Holds the options that stand before a command."""


for _part in (initialise, run, predict, bench, gate, report, devices, profile, pattern, cache, schema, schemes):
    _part.register(app)


class _Interrupted(BaseException):
    """Control-C, told apart from the errors that typer turns into its own."""


def main() -> None:
    """Runs the command line.

    Exit codes: 0 done (gate: pass), 1 a failed run (gate: fail), 2 bad usage, 3 gate: inconclusive, 130 interrupted.
    """
    quieten()
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except EdgeDistilError as error:
        _complain(error.line())
        code = error.exit_code
    except _Interrupted:
        _complain("interrupted; the same command goes on from where it was")
        code = 130
    except BrokenPipeError:
        # The reader of our output has gone, as with `| head`: nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:  # the last resort: a user is owed a line, not a traceback
        if os.environ.get("EDGEDISTIL_DEBUG"):
            raise
        first = (str(error).strip().splitlines() or [""])[0][:300]
        _complain(f"{type(error).__name__}: {first} (not foreseen; EDGEDISTIL_DEBUG=1 shows where)")
        code = 1
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise _Interrupted


def _complain(line: str) -> None:
    typer.echo(f"edgedistil: {line}", err=True)


if __name__ == "__main__":
    main()
