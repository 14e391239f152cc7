"""The peak resident memory of this process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def parse_high_water_kb(status: str) -> int:
    """Returns VmHWM of the text of `/proc/<pid>/status`, in KiB; 0 where it has none."""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def peak_mb() -> float:
    """Returns the most memory this process has had resident since it started, in MB (10^6 bytes).

    VmHWM comes first: `ru_maxrss` survives exec, so that a child of a large parent would start with the parent's.
    """
    try:
        kilobytes = parse_high_water_kb(Path("/proc/self/status").read_text(encoding="ascii", errors="replace"))
    except OSError:
        kilobytes = 0
    if kilobytes:
        return kilobytes * 1024 / 1e6
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage / 1e6 if sys.platform == "darwin" else usage * 1024 / 1e6
