"""What qemu is loaded with to count: a plugin and a clock, compiled on the spot and kept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from edgedistil.bench.instructions.emulator import QEMU
from edgedistil.errors import EdgeDistilError
from edgedistil.hashing import hash_file

_COMPILER = "gcc"
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden")
_KNOWN_MAJOR = (7, 8)


def missing() -> str | None:
    """Returns in one line what is not there to count with, None where all is."""
    needed = {QEMU: "qemu-user", _COMPILER: "gcc libc6-dev", "setarch": "util-linux"}
    absent = [package for tool, package in needed.items() if shutil.which(tool) is None]
    if absent:
        return f"counting instructions needs more packages; run: apt-get install {' '.join(absent)}"
    told = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"version (\d+)\.(\d+)", told)
    if version is None or int(version[1]) not in _KNOWN_MAJOR:
        found = f"{version[1]}.{version[2]}" if version else "an unknown one"
        return f"counting instructions needs qemu-user 7 or 8, whose plugins it knows, and this is {found}"
    return None


def build_libraries(folder: Path) -> tuple[Path, Path]:
    """Compiles the libraries into a folder, or finds them there.

    Args:
        folder: Where compiled libraries are kept; made if need be.

    Returns:
        The plugin (`count.c`) and the clock (`clock.c`).

    Raises:
        EdgeDistilError: When one does not compile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return _build("count", folder), _build("clock", folder)


def _build(name: str, folder: Path) -> Path:
    source = Path(__file__).with_name(f"{name}.c")
    library = folder / f"{name}-{hash_file(source)[:16]}.so"
    if library.is_file():
        return library
    descriptor, made = tempfile.mkstemp(suffix=".so", dir=folder)
    os.close(descriptor)
    part = Path(made)
    try:
        command = [_COMPILER, *_FLAGS, "-o", made, str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            fault = next((line for line in lines if "error" in line), lines[-1] if lines else "it does not say why")
            raise EdgeDistilError(
                f"{_COMPILER} does not compile it ({fault[:300]})", where=str(source), cure="install gcc and libc6-dev"
            )
        part.replace(library)
    finally:
        part.unlink(missing_ok=True)
    return library
