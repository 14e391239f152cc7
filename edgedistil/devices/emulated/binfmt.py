"""Having the kernel start arm64 programs with qemu, for as long as a device is up.

binfmt_misc is mounted in a private mount namespace only, so the host's mounts stay as they are. The registration is
the kernel's, hence seen everywhere: each device makes one of its own, by the id of the process that asked for it, and
takes no other's away. A registration with the flag `F` holds qemu open, so that it works inside a chroot.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from edgedistil.devices.emulated.root import QEMU

_FOLDER = "/proc/sys/fs/binfmt_misc"
_NAME = "edgedistil-arm64"
# The first 20 bytes of an ELF file: 64 bits, little-endian, executable (or shared, which the mask lets by), AArch64.
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"

MOUNT_SCRIPT = f"mount -t binfmt_misc binfmt_misc {_FOLDER}"
"""A line of shell for a private mount namespace."""


def register_script(name: str) -> str:
    """Returns lines of shell that mount binfmt_misc and register qemu under a name.

    Raises:
        OSError: When qemu is not installed.
    """
    qemu = shutil.which(QEMU)
    if qemu is None:
        raise OSError(f"{QEMU} is not installed")
    entry = f":{name}:M::{_MAGIC}:{_MASK}:{os.path.realpath(qemu)}:F"
    return f"{MOUNT_SCRIPT}\nprintf '%s' '{entry}' > {_FOLDER}/register"


def own_name(instance: str) -> str:
    """Returns the name to register under: the process's id, which tells later whether it is still wanted."""
    return f"{_NAME}-{os.getpid()}-{instance}"


def unregister(name: str) -> None:
    """Takes a registration away, and any of ours whose process died without doing so."""
    entries = _listed()
    dead = [entry for entry in entries if (found := _owner(entry)) and not Path(f"/proc/{found}").exists()]
    gone = [entry for entry in {name, *dead} if entry in entries]
    if gone:
        lines = [MOUNT_SCRIPT, *(f"printf '%s' -1 > {_FOLDER}/{entry}" for entry in gone)]
        _privately("\n".join(lines))


def _owner(entry: str) -> str | None:
    match = re.fullmatch(rf"{_NAME}-(\d+)-\w+", entry)
    return match[1] if match else None


def _listed() -> set[str]:
    return set(_privately(f"{MOUNT_SCRIPT}\nls {_FOLDER}").split())


def _privately(script: str) -> str:
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
