"""`edgedistil devices`: the profiles of this workspace."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from edgedistil.cli.console import open_console


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("devices")(devices)


def devices(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the device profiles in devices/ and what each can run.

    Example: `edgedistil devices`
    """
    from edgedistil.cli.measure import device_folders
    from edgedistil.devices.profile import list_profiles, load_profile

    profiles = list_profiles(device_folders())
    if not any(profile.name == "local" for profile in profiles):
        profiles.insert(0, load_profile("local", []))
    if as_json:
        typer.echo(json.dumps([profile.model_dump() for profile in profiles], indent=1))
        return
    table = Table("device", "kind", "threads", "runtimes", "what it is")
    for profile in profiles:
        threads = str(profile.threads or "all cores")
        table.add_row(profile.name, profile.kind, threads, ", ".join(profile.runtimes), profile.description)
    open_console().print(table)
