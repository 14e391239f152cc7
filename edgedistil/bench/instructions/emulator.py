"""Running one arm64 program in qemu's user mode, alike every time."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

QEMU = "qemu-aarch64"
"""The dynamic one: Debian's static qemu can load no plugins."""

_RESERVED = "64G"
_PYTHON = "usr/bin/python3"


@dataclass(frozen=True)
class Emulator:
    """A file system and a processor to run arm64 programs with.

    Attributes:
        root: An arm64 root with Python, numpy and the runtimes; nothing is written to it.
        cpu: The processor, by qemu's name.
        cpuinfo: What the program is to read in `/proc/cpuinfo`; it must match the processor.
    """

    root: Path
    cpu: str
    cpuinfo: str

    @contextlib.contextmanager
    def view(self) -> Iterator[Path]:
        """Makes a folder that is the root with this processor's `/proc/cpuinfo`; gone after the block.

        With `-L`, qemu looks for every file below this folder first. A program that is told of its files by their names
        below it therefore sees the same names in every run, wherever the folder is.
        """
        folder = Path(tempfile.mkdtemp(prefix="edgedistil-view-"))
        try:
            for entry in self.root.iterdir():
                if entry.is_dir() and entry.name not in ("dev", "proc"):
                    (folder / entry.name).symlink_to(entry)
            (folder / "proc").mkdir()
            (folder / "proc/cpuinfo").write_text(self.cpuinfo, encoding="ascii")
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def environment(self, clock: Path) -> dict[str, str]:
        """Returns the whole environment of a program: nothing of this process's, and nothing that varies.

        The number of variables moves the stack, a hash seed the order of sets, an arena a thread's allocations; and
        onnxruntime's telemetry is a thread that wakes whenever it likes.

        Args:
            clock: The compiled clock, which qemu is to read in place of the machine's.
        """
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": "/nonexistent",
            "LD_PRELOAD": str(clock),
            "QEMU_CPU": self.cpu,
            "PYTHONHASHSEED": "0",
            "MALLOC_ARENA_MAX": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "ORT_DISABLE_TELEMETRY": "1",
        }

    def command(self, view: Path, plugin: Path, output: Path, script: str) -> list[str]:
        """Returns the command that runs a Python script, to be started in the view.

        `setarch -R` switches address randomisation off, `-R` keeps qemu's own allocations out of the program's address
        space, `-seed` fixes the random bytes that a program is started with, `-U` keeps the clock, which is the host's,
        from the program's loader, `-B` leaves the host without compiled modules: a new file below `-L` would be one of
        the host's.

        Args:
            view: As `view()` made it.
            plugin: The compiled plugin.
            output: Where the plugin writes.
            script: The script's path below the view, beginning with `/`.
        """
        alike = ["-seed", "1", "-R", _RESERVED, "-U", "LD_PRELOAD"]
        shown = ["-0", f"/{_PYTHON}", "-L", str(view), "-plugin", f"{plugin},output={output}"]
        return ["setarch", "-R", QEMU, *alike, *shown, _PYTHON, "-B", "-s", "-P", script]
