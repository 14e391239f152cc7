"""Looks at what this device is doing: load, clock, temperature, throttling; None wherever it does not tell."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple

_CPUS = Path("/sys/devices/system/cpu")
_ZONES = Path("/sys/class/thermal")
_PROC = Path("/proc")

# Share of one processor from which a process is named, and how many are.
_BUSY_PROCESS = 0.1
_MOST_NAMES = 5


def _numbers(folder: Path, pattern: str) -> List[float]:
    found = []
    for path in sorted(folder.glob(pattern)):
        try:
            found.append(float(path.read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return found


def _load_average() -> Optional[float]:
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


def _ticks(stat: Path) -> Optional[Tuple[int, int]]:
    """Returns (busy, all) processor ticks since boot: user, nice, system, idle, iowait, irq, softirq, steal."""
    try:
        fields = [int(field) for field in stat.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    return (sum(fields) - sum(fields[3:5]), sum(fields)) if len(fields) == 8 else None


def _process_ticks(proc: Path) -> Dict[int, Tuple[str, int]]:
    """Returns each other process's name and the processor ticks it has used."""
    found = {}
    for entry in proc.glob("[0-9]*"):
        parsed = parse_process(_text(entry / "stat")) if entry.name != str(os.getpid()) else None
        if parsed:
            found[int(entry.name)] = parsed
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def parse_process(stat: str) -> Optional[Tuple[str, int]]:
    """Returns name and user plus system ticks of the text of `/proc/<pid>/stat`, or None of anything else.

    A name may hold spaces and brackets, so the last closing bracket ends it (proc(5)).
    """
    head, _, tail = stat.rpartition(")")
    fields = tail.split()
    try:
        return head.partition("(")[2], int(fields[11]) + int(fields[12])
    except (ValueError, IndexError):
        return None


def usage(proc: Path = _PROC, seconds: float = 0.2) -> Tuple[Optional[float], List[str]]:
    """Tells what others use of the processors, seen over a moment in which this process sleeps.

    A load average still counts what ran a minute ago, such as the training that made the file.

    Returns:
        The share of all processors in use, None where the system does not tell; and the names of the processes that
        used more than a tenth of one, the busiest first.
    """
    before, processes, began = _ticks(proc / "stat"), _process_ticks(proc), time.monotonic()
    time.sleep(seconds if before else 0)
    after, elapsed = _ticks(proc / "stat"), time.monotonic() - began
    if before is None or after is None or after[1] <= before[1]:
        return None, []
    share = round((after[0] - before[0]) / (after[1] - before[1]), 3)
    least = _BUSY_PROCESS * elapsed * os.sysconf("SC_CLK_TCK")
    used = [
        (ticks - processes[pid][1], name) for pid, (name, ticks) in _process_ticks(proc).items() if pid in processes
    ]
    return share, [name for ticks, name in sorted(used, reverse=True) if ticks > least][:_MOST_NAMES]


def busy(proc: Path = _PROC, seconds: float = 0.2) -> Optional[float]:
    """Returns the share of all processors that others use; see `usage`."""
    return usage(proc, seconds)[0]


def governor(cpus: Path = _CPUS) -> Optional[str]:
    """Returns the first processor's frequency governor."""
    try:
        return (cpus / "cpu0/cpufreq/scaling_governor").read_text(encoding="ascii").strip() or None
    except OSError:
        return None


def frequency_mhz(cpus: Path = _CPUS) -> Optional[float]:
    """Returns the mean current frequency of the processors, in MHz; the kernel gives kHz."""
    found = _numbers(cpus, "cpu[0-9]*/cpufreq/scaling_cur_freq")
    return round(sum(found) / len(found) / 1000, 1) if found else None


def temperature_c(zones: Path = _ZONES) -> Optional[float]:
    """Returns the hottest sensor in degrees Celsius; the kernel gives thousandths."""
    found = _numbers(zones, "thermal_zone*/temp")
    return round(max(found) / 1000, 1) if found else None


def throttle_count(cpus: Path = _CPUS) -> Optional[int]:
    """Returns the throttling events an x86 processor has counted since it booted."""
    found = _numbers(cpus, "cpu[0-9]*/thermal_throttle/*_throttle_count")
    return int(sum(found)) if found else None


def parse_throttled(text: str) -> Optional[int]:
    """Returns the bits of a line like `throttled=0x50000`, or None for anything else."""
    try:
        return int(text.strip().partition("=")[2], 16)
    except ValueError:
        return None


def throttle_flags() -> Optional[int]:
    """Returns the bits of a Raspberry Pi's `vcgencmd get_throttled`, None on any other machine."""
    tool = shutil.which("vcgencmd")
    if tool is None:
        return None
    try:
        answer = subprocess.run([tool, "get_throttled"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_throttled(answer.stdout)


def collect() -> Dict[str, object]:
    """Returns one look as JSON-able values."""
    seen = {
        "load_average": _load_average(),
        "governor": governor(),
        "frequency_mhz": frequency_mhz(),
        "temperature_c": temperature_c(),
        "throttle_flags": throttle_flags(),
        "throttle_count": throttle_count(),
    }
    # Last, for it sleeps: the clock of a processor that has rested is not the one that inferences ran at.
    share, names = usage()
    return {**seen, "busy": share, "busy_processes": names}
