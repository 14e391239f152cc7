"""`edgedistil devices`: the profiles, those that come with the package among them; what each lacks; setting one up."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from edgedistil.cli.console import open_console

if TYPE_CHECKING:
    # The command line starts fast: these are imported where they are used.
    from edgedistil.devices import Device
    from edgedistil.devices.check import Finding
    from edgedistil.devices.ssh import SshDevice

devices_app = typer.Typer(invoke_without_command=True)
_Name = Annotated[str, typer.Argument(help="A profile, such as pi5.", show_default=False)]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_MARKS = {"ok": "ok", "advice": "advice", "missing": "MISSING"}


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(devices_app, name="devices")


@devices_app.callback()
def devices(context: typer.Context, as_json: _Json = False) -> None:
    """List the device profiles, those in devices/ first, and what each can run; or look after one of them.

    Example: `edgedistil devices`
    """
    if context.invoked_subcommand:
        return
    from edgedistil.cli.measure import device_folders
    from edgedistil.devices import list_profiles

    profiles = list_profiles(device_folders())
    if as_json:
        typer.echo(json.dumps([profile.model_dump(mode="json") for profile in profiles], indent=1))
        return
    table = Table("device", "kind", "threads", "runtimes", "what it is")
    for profile in profiles:
        threads = str(profile.threads or "all cores")
        table.add_row(profile.name, profile.kind, threads, ", ".join(profile.runtimes), profile.description)
    open_console().print(table)


@devices_app.command("add")
def add(name: Annotated[str, typer.Argument(help="One that comes with edgedistil, such as pi5.")]) -> None:
    """Write a profile that comes with edgedistil into devices/, to be edited there: its host, its threads.

    Example: `edgedistil devices add pi5`
    """
    from edgedistil.bundle.records import write_text
    from edgedistil.devices import built_in_profiles
    from edgedistil.errors import UsageError, did_you_mean

    known = {path.stem: path for path in built_in_profiles().glob("*.yaml")}
    if name not in known:
        raise UsageError(f"no profile named '{name}' comes with edgedistil", cure=did_you_mean(name, known))
    target = Path("devices") / known[name].name
    if target.exists():
        raise UsageError("the file is there already", where=str(target), cure="edit it, or move it away first")
    write_text(target, known[name].read_text(encoding="utf-8"))
    typer.echo(f"wrote {target}")


@devices_app.command("check")
def check(name: _Name, as_json: _Json = False) -> None:
    """Say what a device lacks, and the cure. Exit code 1 when a bench could not do.

    Example: `edgedistil devices check pi5`
    """
    from edgedistil.devices.check import findings_of
    from edgedistil.devices.emulated import EmulatedDevice

    found = _connect(name)
    if isinstance(found, EmulatedDevice):
        _tell(_emulation(), as_json)
        return
    device = _over_ssh(found)
    remote = device.remote()
    with remote.link:
        seen = remote.inspect(libraries=True)
    _tell(findings_of(seen, device.profile), as_json)


@devices_app.command("setup")
def setup(name: _Name, as_json: _Json = False) -> None:
    """Make a virtual environment on a device, of wheels fetched here: it needs no internet of its own.

    Example: `edgedistil devices setup pi5`
    """
    from edgedistil.devices.check import findings_of
    from edgedistil.devices.setup import set_up
    from edgedistil.progress import TerminalProgress

    device = _open(name)
    remote = device.remote()
    with remote.link:
        seen = set_up(remote, device.profile, TerminalProgress())
    _tell(findings_of(seen, device.profile), as_json)


@devices_app.command("up")
def up(name: _Name) -> None:
    """Bring up an emulated Raspberry Pi to log in to; Ctrl-C takes it down again, with all that was left on it.

    Example: `edgedistil devices up emulated-pi5`
    """
    import signal
    import time

    from edgedistil.devices.emulated import EmulatedDevice, bring_up
    from edgedistil.errors import UsageError
    from edgedistil.progress import TerminalProgress

    device = _connect(name)
    if not isinstance(device, EmulatedDevice):
        raise UsageError(
            f"device '{name}' is of kind {device.profile.kind}", cure="this is for emulated ones, such as emulated-pi5"
        )
    with bring_up(device.profile.cpu, progress=TerminalProgress()) as pi, contextlib.suppress(KeyboardInterrupt):
        # Ctrl-C is how this command ends well, not an interruption.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        typer.echo(f"ssh -F {pi.ssh_config} {pi.alias}")
        typer.echo(f"an emulated {pi.board.name} until Ctrl-C", err=True)
        while True:
            time.sleep(3600)


@devices_app.command("clean")
def clean(name: _Name) -> None:
    """Remove what edgedistil has put on a device: runner, files, virtual environment; nothing else that lies there.

    Example: `edgedistil devices clean pi5`
    """
    device = _open(name)
    remote = device.remote()
    with remote.link:
        remote.clean()
    typer.echo(f"removed what edgedistil had put into {remote.folder} on {name}")


def _connect(name: str) -> Device:
    from edgedistil.cli.measure import device_folders
    from edgedistil.devices import connect, load_profile

    return connect(load_profile(name, device_folders()))


def _open(name: str) -> SshDevice:
    return _over_ssh(_connect(name))


def _over_ssh(device: Device) -> SshDevice:
    from edgedistil.devices.ssh import SshDevice
    from edgedistil.errors import UsageError

    if not isinstance(device, SshDevice):
        profile = device.profile
        raise UsageError(
            f"device '{profile.name}' is of kind {profile.kind}", cure="this is for devices reached through ssh"
        )
    return device


def _emulation() -> list[Finding]:
    """Returns whether a device can be emulated on this machine, and its instructions counted."""
    from edgedistil.bench import instructions
    from edgedistil.devices.check import Finding
    from edgedistil.devices.emulated import unavailable

    found = []
    for name, reason in (("emulation", unavailable()), ("instruction counts", instructions.missing())):
        what, _, cure = (reason or "all that it needs").partition("; ")
        # A bench does without counts, and says so.
        found.append(Finding(name, what, cure or (reason or ""), needed=name == "emulation"))
    return found


def _tell(findings: list[Finding], as_json: bool) -> None:
    if as_json:
        rows = [{"name": f.name, "found": f.found, "level": f.level, "cure": f.cure} for f in findings]
        typer.echo(json.dumps(rows, indent=1))
    else:
        table = Table("what", "found", "", "cure")
        for finding in findings:
            table.add_row(finding.name, finding.found, _MARKS[finding.level], finding.cure)
        open_console().print(table)
    if any(finding.level == "missing" for finding in findings):
        raise typer.Exit(1)
