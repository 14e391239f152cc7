"""Where the end-to-end tests of emulated devices keep what they make, and what they look at the machine with."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from command import ROOT

from edgedistil.bench import instructions
from edgedistil.devices.emulated import unavailable

CACHE = Path(os.environ.get("EDGEDISTIL_CACHE") or ROOT / ".edgedistil").resolve()
"""Kept from one run of the tests to the next: making a file system takes half a minute."""


def needs_emulation() -> None:
    reason = unavailable() or instructions.missing()
    if reason:
        pytest.skip(reason)


def traces() -> set[str]:
    """Returns the mounts this process sees and the registrations it has made: what a device that is up might leave."""
    script = "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc; ls /proc/sys/fs/binfmt_misc"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    entries = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    own = {entry for entry in entries if f"-{os.getpid()}-" in entry}
    return own | set(Path("/proc/self/mounts").read_text().splitlines())


def processes(word: str) -> list[str]:
    """Returns the command lines of the processes on this machine that have a word in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode("utf-8", "replace").split("\0")
            found += [" ".join(words)] if word in words else []
    return found
