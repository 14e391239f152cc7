"""`edgedistil cache ls | rm`: what finished stages take, and getting rid of them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from edgedistil.cli.console import open_console
from edgedistil.errors import UsageError

if TYPE_CHECKING:
    from edgedistil.pipeline.cache import Entry

cache_app = typer.Typer(help="List or remove finished stages.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(cache_app, name="cache")


@cache_app.command("ls")
def ls(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List finished stages, the newest first; one whose record is lost is shown as damaged.

    Example: `edgedistil cache ls`
    """
    from edgedistil.pipeline.cache import StageCache, cache_root, folder_bytes
    from edgedistil.pipeline.estimate import human_time

    cache = StageCache(cache_root(Path.cwd(), writing=False))
    rows: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "key": entry.key[:16],
            "megabytes": round(folder_bytes(entry.folder) / 1e6, 1),
            "seconds": entry.seconds,
            "made": time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.folder.stat().st_mtime)),
        }
        for entry in cache.entries()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table("stage", "key", "MB", "took", "made", title=str(cache.root), title_justify="left")
    for row in rows:
        took = "damaged" if row["seconds"] is None else human_time(row["seconds"])
        table.add_row(row["name"], row["key"], str(row["megabytes"]), took, row["made"])
    open_console().print(table)


@cache_app.command("rm")
def rm(
    what: Annotated[
        list[str] | None, typer.Argument(help="Names or keys of stages, such as `distil` or `3fa9c1`.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every stage, and what killed runs left.")] = False,
) -> None:
    """Remove finished stages; the next run makes them again.

    Example: `edgedistil cache rm bench`
    """
    from edgedistil.pipeline.cache import StageCache, cache_root

    cache = StageCache(cache_root(Path.cwd()))
    if not what and not everything:
        raise UsageError("nothing named", cure="name stages or keys, or give --all")
    if any(not name.strip() for name in what or []):
        raise UsageError("a name is empty", cure="nothing was removed; name stages or keys, or give --all")
    entries = cache.entries()
    named = {entry.folder: entry for name in what or [] for entry in _named(entries, name, cache.root)}
    chosen = entries if everything else list(named.values())
    freed = cache.remove(chosen, partial=everything)
    typer.echo(f"removed {len(chosen)} stages, {freed / 1e6:.1f} MB")


def _named(entries: Sequence[Entry], name: str, root: Path) -> list[Entry]:
    """Returns the stages of a name, or the one whose key begins so."""
    found = [entry for entry in entries if entry.name == name]
    by_key = [entry for entry in entries if entry.key.startswith(name)]
    if not found and len(by_key) != 1:
        what = f"{len(by_key)} keys begin with {name}" if by_key else f"no stage is named {name}"
        raise UsageError(what, where=str(root), cure="nothing was removed; see: edgedistil cache ls")
    return found or by_key
