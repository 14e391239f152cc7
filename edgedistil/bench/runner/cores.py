"""How many processors this process may use: those it is bound to, or fewer where its control group has less time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, Optional

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def available_cores(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """Returns how many logical processors this process may use, at least 1.

    A container with the time of two processors sees all of its machine's: as many threads would wait for one another
    in most of every tenth of a second.

    Args:
        groups: Where control groups are mounted.
        own: Names those of this process.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = [int(share) for share in _shares(groups, _text(own))]
    return max(min([bound, *allowed]), 1)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _shares(groups: Path, own: str) -> List[float]:
    """Returns the processors' worth of time of each control group that limits this process, those around it included.

    Version 2 has one line `0::/path`, version 1 one for each controller, such as `4:cpu,cpuacct:/path`; a container
    sees its own group in place of the root, whatever the path (cgroups(7)).
    """
    found = []
    for line in own.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = groups / "cpu" if controllers else groups
        parts = [part for part in path.split("/") if part]
        places = [base.joinpath(*parts[:count]) for count in range(len(parts) + 1)]
        found += [_share(place) for place in places]
    return [share for share in found if share is not None]


def _share(group: Path) -> Optional[float]:
    """Returns a group's quota over its period, None where it has none."""
    words = _text(group / "cpu.max").split() or [
        *_text(group / "cpu.cfs_quota_us").split(),
        *_text(group / "cpu.cfs_period_us").split(),
    ]
    try:
        quota, period = map(int, words)
    except ValueError:
        # `max`, or nothing at all.
        return None
    return quota / period if quota > 0 and period > 0 else None
