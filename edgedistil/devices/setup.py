"""A virtual environment on a device, of wheels that this machine fetches: the device needs no internet."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgedistil.devices.architecture import check_machine, machine_of
from edgedistil.devices.check import PACKAGES
from edgedistil.devices.link import RemoteError
from edgedistil.devices.profile import DeviceProfile
from edgedistil.devices.remote import Remote
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.progress import Progress

_OLDEST_GLIBC = 17
_LEGACY = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}
_NARROW = ("tflite-runtime",)
_INSTALL_SECONDS = 1800.0


def wanted_packages(runtimes: Sequence[str], bits: int) -> list[str]:
    """Returns what to install for a profile's runtimes.

    On 32 bits tflite-runtime is the only runtime with a wheel; it needs numpy < 2, which has none there and comes from
    the system.

    Raises:
        UsageError: When none of the runtimes runs on so many bits.
    """
    if bits == 32:
        if "litert" not in runtimes:
            raise UsageError("no wheel of its runtimes is for a 32-bit system", cure="give runtimes: [litert]")
        return list(_NARROW)
    named = dict.fromkeys(PACKAGES[name][0] for name in runtimes if name in PACKAGES)
    return ["numpy", *named]


def platforms(machine: str, libc: str) -> list[str]:
    """Returns the platform tags that a device's wheels may carry, the newest first (PEP 600).

    Args:
        machine: As `machine_of` gives it, such as `aarch64`.
        libc: As the runner's inspection gives it, such as `glibc 2.36`.

    Raises:
        UsageError: When its C library is none that wheels are made for.
    """
    match = re.fullmatch(r"glibc 2\.(\d+)", libc)
    if match is None:
        raise UsageError(
            f"its C library is {libc or 'not glibc'}, and the runtimes' wheels need glibc", cure="use another system"
        )
    tags = []
    for minor in range(int(match[1]), _OLDEST_GLIBC - 1, -1):
        tags.append(f"manylinux_2_{minor}_{machine}")
        if minor in _LEGACY:
            tags.append(f"{_LEGACY[minor]}_{machine}")
    return [*tags, f"linux_{machine}"]


def download_command(packages: Sequence[str], tags: Sequence[str], python: str, folder: Path) -> list[str]:
    """Returns the pip command that fetches wheels, dependencies included, for another machine.

    Args:
        packages: What.
        tags: Its platform tags.
        python: Its Python, such as `3.11.2`.
        folder: Where to put them.
    """
    options = [option for tag in tags for option in ("--platform", tag)]
    version = ".".join(python.split(".")[:2])
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--only-binary=:all:", "--implementation", "cp", "--python-version", version),
        *options,
        *("--dest", str(folder)),
        *packages,
    ]


def set_up(remote: Remote, profile: DeviceProfile, progress: Progress) -> dict[str, Any]:
    """Makes a virtual environment on a device and installs its runtimes there.

    Args:
        remote: The device's folder.
        profile: Its profile, for the runtimes.
        progress: Where to report.

    Returns:
        What the device has afterwards, libraries included.

    Raises:
        UsageError: When there are no wheels for it, or it is no device of its profile's.
        EdgeDistilError: When fetching, copying or installing fails.
    """
    # Not through an earlier environment: it may be of another Python than the new one will be, or broken.
    bare = remote.bare()
    settings = f"{remote.folder}/venv/pyvenv.cfg"
    seen = bare.inspect([settings, remote.venv_mark], libraries=True)
    if settings in seen["files"] and remote.venv_mark not in seen["files"]:
        raise UsageError(
            f"the virtual environment in {remote.folder}/venv there is not one that edgedistil made",
            where=remote.link.where,
            cure="remove it there, or name another 'folder' in its profile",
        )
    if "facts" not in seen:
        raise EdgeDistilError(f"its Python is {seen['python']}, too old", cure="install Python >= 3.9 there")
    check_machine(seen, profile)
    narrow = seen["bits"] == 32
    if narrow:
        _check_numpy(seen, remote)
    packages = wanted_packages(profile.runtimes, seen["bits"])
    with tempfile.TemporaryDirectory() as scratch:
        folder, machine = Path(scratch), machine_of(seen)
        progress.say(f"edgedistil: fetching {', '.join(packages)} for Python {seen['python']} on {machine}")
        tags = platforms(machine, seen["libc"])
        _fetch(download_command(packages, tags, seen["python"], folder) + ["--no-deps"] * narrow, remote)
        # A system's Python often has no pip.
        _fetch([*download_command(["pip"], tags, seen["python"], folder), "--no-deps"], remote)
        wheels = sorted(folder.glob("*.whl"))
        bare.bring(wheels, progress)
        progress.say(f"edgedistil: installing {len(wheels)} wheels in {remote.folder}/venv")
        _install(remote, wheels, packages, system=narrow)
    return remote.inspect(libraries=True)


def _check_numpy(seen: dict[str, Any], remote: Remote) -> None:
    numpy = (seen["libraries"].get("numpy") or {}).get("version", "")
    if not numpy or int(numpy.partition(".")[0]) >= 2:
        raise EdgeDistilError(
            f"a 32-bit system needs numpy < 2 of its own, and has {numpy or 'none'}",
            where=remote.link.where,
            cure="run there: sudo apt install python3-numpy",
        )


def _fetch(command: list[str], remote: Remote) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        said = lines[-1].removeprefix("ERROR: ") if lines else "no reason given"
        raise EdgeDistilError(
            f"wheels for it could not be fetched ({said})",
            where=remote.link.where,
            cure="check this machine's internet and pip, and the device's Python version",
        )


def _install(remote: Remote, wheels: Sequence[Path], packages: Sequence[str], *, system: bool) -> None:
    """Installs wheels that lie there; pip runs from its own wheel, which needs no `ensurepip` on the device."""
    folder = shlex.quote(remote.folder)
    places = [remote.place(path) for path in wheels]
    pip = next(place for place in places if Path(place).name.startswith("pip-"))
    links = " ".join(f"--find-links {shlex.quote(str(Path(place).parent))}" for place in places)
    python = shlex.quote(remote.system_python)
    mark = shlex.quote(remote.venv_mark)
    script = (
        # Marked before it is made: one that was cut off is ours to make again.
        f"rm -rf {folder}/venv && mkdir -p {folder}/venv && : > {mark} && "
        f"{python} -m venv --without-pip {'--system-site-packages ' * system}{folder}/venv && {{ "
        f"{folder}/venv/bin/python {shlex.quote(pip)}/pip install --quiet --no-index --disable-pip-version-check "
        f"{'--no-deps ' * system}{links} {' '.join(packages)} && "
        f"rm -rf {' '.join(shlex.quote(str(Path(place).parent)) for place in places)} || "
        # Half an environment would go before an interpreter that has what it lacks.
        f"{{ rm -rf {folder}/venv; exit 1; }}; }}"
    )
    try:
        remote.link.run(script, seconds=_INSTALL_SECONDS)
    except RemoteError as error:
        raise EdgeDistilError(
            f"installing there failed: {error.words.splitlines()[-1] if error.words else error.code}",
            where=remote.link.where,
            cure="see that its python3 has the venv module (sudo apt install python3-venv)",
        ) from error
