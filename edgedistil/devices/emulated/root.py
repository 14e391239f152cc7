"""The emulated device's file system: Debian for arm64 with Python and the runtimes, unpacked and never booted."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from edgedistil.devices.emulated.boards import BOARDS, CORES
from edgedistil.errors import EdgeDistilError
from edgedistil.hashing import hash_value
from edgedistil.progress import Progress

QEMU = "qemu-aarch64-static"
"""Static, because the kernel starts it where the host's libraries are out of reach."""

PYTHON = "/usr/bin/python3"
USER, USER_ID = "pi", 1000
PASSWD = f"root:x:0:0::/root:/bin/sh\n{USER}:x:{USER_ID}:{USER_ID}::/home/{USER}:/bin/sh\n"

_SUITE, _PYTHON_VERSION = "bookworm", "3.11"
_PACKAGES = ("python3", "libstdc++6", "dash", "coreutils", "findutils", "grep", "gzip", "sed", "tar")
# Held to what the host runs, so that a difference between the two is the processor's and not the version's.
_RUNTIMES = ("onnxruntime", "ai-edge-litert")
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
PROCESSORS = "sys/devices/system/cpu"
_LIBRARIES = f"usr/local/lib/python{_PYTHON_VERSION}/dist-packages"
_IMPORTED = "argparse, ctypes, json, queue, resource, numpy, onnxruntime, ai_edge_litert.interpreter"
_LAYOUT = 2


def missing() -> str | None:
    """Returns in one line why no file system can be made here, None where it can."""
    if os.geteuid() != 0:
        return "an emulated device needs root; run as root, or bench on another device"
    tools = {"mmdebstrap": "mmdebstrap", QEMU: "qemu-user-static"}
    absent = [package for tool, package in tools.items() if shutil.which(tool) is None]
    if absent:
        return f"an emulated device needs more packages; run: apt-get install {' '.join(absent)}"
    if importlib.util.find_spec("pip") is None:
        return "an emulated device needs pip, to fetch its libraries; run: python -m ensurepip"
    return None


def cache_folder() -> Path:
    """Returns where file systems are kept: `emulated/` in EDGEDISTIL_CACHE, else in the workspace's `.edgedistil/`."""
    return Path(os.environ.get("EDGEDISTIL_CACHE") or ".edgedistil").expanduser().resolve() / "emulated"


def prepare_root(cache: Path | None = None, progress: Progress | None = None) -> Path:
    """Makes the file system, or finds the one made earlier from the same packages.

    Args:
        cache: Where it is kept; `cache_folder()` for None.
        progress: Told when one is being made.

    Returns:
        Its folder, which nothing may write to.

    Raises:
        EdgeDistilError: When it cannot be made; one line that says why.
    """
    cache = cache or cache_folder()
    requirements = ["numpy", *(_held(name) for name in _RUNTIMES)]
    folder = cache / hash_value([_LAYOUT, _SUITE, _PACKAGES, _PLATFORMS, requirements])[:16]
    if folder.is_dir():
        return folder
    reason = missing()
    if reason:
        raise EdgeDistilError(reason)
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache):
        if not folder.is_dir():
            if progress:
                progress.say("making the emulated device's file system (about half a minute, once)")
            part = Path(tempfile.mkdtemp(prefix=".part-", dir=cache))
            try:
                _make(part, requirements)
                (part / "root").rename(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return folder


def _held(package: str) -> str:
    try:
        return f"{package}=={metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return package


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(part: Path, requirements: Sequence[str]) -> None:
    root, libraries = part / "root", part / "libraries"
    unpack = ["mmdebstrap", "--quiet", "--variant=extract", "--arch=arm64", f"--include={','.join(_PACKAGES)}"]
    fetch = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary=:all:"]
    fetch += ["--implementation=cp", f"--python-version={_PYTHON_VERSION}", f"--target={libraries}"]
    fetch += [f"--platform={platform}" for platform in _PLATFORMS]
    _run_both([*unpack, _SUITE, str(root)], [*fetch, *requirements], part)
    shutil.rmtree(root / _LIBRARIES, ignore_errors=True)
    (root / _LIBRARIES).parent.mkdir(parents=True, exist_ok=True)
    libraries.rename(root / _LIBRARIES)
    _furnish(root)
    _compile(root, part)


def _furnish(root: Path) -> None:
    """Adds the user, and the list of processors without which the runtimes do not look at `/proc/cpuinfo`."""
    (root / "etc/passwd").write_text(PASSWD, encoding="ascii")
    (root / "etc/group").write_text(f"root:x:0:\n{USER}:x:{USER_ID}:\n", encoding="ascii")
    for name in ("proc", "run", "root", "tmp", PROCESSORS):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name in ("possible", "present", "online"):
        (root / PROCESSORS / name).write_text(f"0-{CORES - 1}\n", encoding="ascii")
    home = root / "home" / USER
    home.mkdir(parents=True)
    os.chown(home, USER_ID, USER_ID)


def _run_both(unpack: list[str], fetch: list[str], part: Path) -> None:
    """Unpacks Debian and fetches the wheels at the same time."""
    logs = [(part / name).open("w+", encoding="utf-8", errors="replace") for name in ("unpack.log", "fetch.log")]
    whats = ("Debian's arm64 packages could not be unpacked", "the aarch64 wheels could not be fetched")
    with contextlib.ExitStack() as stack:
        for log in logs:
            stack.enter_context(log)
        started = [
            stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
            for command, log in zip((unpack, fetch), logs, strict=True)
        ]
        try:
            codes = [process.wait() for process in started]
        finally:
            for process in started:
                process.kill()
        for code, log, what in zip(codes, logs, whats, strict=True):
            if code:
                log.seek(0)
                raise EdgeDistilError(f"{what} ({_fault(log.read())})", cure="check the network and try again")


def _fault(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    faults = [line for line in lines if line.startswith(("E:", "ERROR"))]
    return (faults or lines or ["no reason was given"])[-1][:300]


def _compile(root: Path, part: Path) -> None:
    """Imports what the runner imports once, and keeps the compiled modules: an import then takes 2 s instead of 5.

    Debian compiles when it installs, which unpacking does not do. The compiled files are written to a folder of their
    own and moved into the file system afterwards: with `-L`, qemu looks for a file below the root first but makes a new
    one on the host.
    """
    compiled = part / "compiled"
    board = next(iter(BOARDS.values()))
    (part / "sysroot/proc").mkdir(parents=True)
    for name in ("bin", "etc", "lib", "sbin", "sys", "usr"):
        (part / "sysroot" / name).symlink_to(root / name)
    (part / "sysroot/proc/cpuinfo").write_text(board.cpuinfo, encoding="ascii")
    environment = {
        "PATH": os.defpath,
        "QEMU_CPU": board.cpu,
        "PYTHONPYCACHEPREFIX": str(compiled),
        "ORT_DISABLE_TELEMETRY": "1",
    }
    # By the name it has on the device (`-0`): where Python finds its libraries follows from it.
    command = [QEMU, "-0", PYTHON, "-L", str(part / "sysroot"), str(root / PYTHON[1:])]
    command += ["-s", "-P", "-c", f"import {_IMPORTED}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        fault = _fault(done.stderr) if done.returncode > 0 else f"signal {-done.returncode}"
        raise EdgeDistilError(f"the runtimes do not run under {QEMU} ({fault})", cure="try another version of it")
    for module in compiled.rglob("*.pyc"):
        place = root / module.parent.relative_to(compiled) / "__pycache__"
        if place.parent.is_dir():
            place.mkdir(exist_ok=True)
            shutil.move(module, place / module.name)
