"""Energy an inference, where the device meters it: an x86 package's RAPL counters, a Raspberry Pi 5's power chip.

What is metered is everything the meter sees, idle included: the processor's package, or the whole board behind the
power chip (without what the USB ports feed). It is the energy a battery pays for while the device infers back to back.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Protocol, Sequence, Tuple

from .timing import Call, block

_POWERCAP = Path("/sys/class/powercap")
_READING = re.compile(r"^\s*(\w+)_([AV])\s+(?:current|volt)\(\d+\)=([0-9.]+)[AV]\s*$")
_SAMPLE_SECONDS = 0.1
_BLOCKS = 6


class Meter(Protocol):
    """What tells energy."""

    source: str

    def start(self) -> None:
        """Begins to count."""

    def stop(self) -> float:
        """Returns the joules since `start`."""


class Rapl:
    """The energy counters of all processor packages, in microjoules, which wrap at their range.

    Args:
        powercap: The kernel's folder.

    Raises:
        OSError: When there is none, or it may not be read: since 2020 the kernel shows it to root alone.
    """

    source = "rapl"

    def __init__(self, powercap: Path = _POWERCAP) -> None:
        zones = sorted(path for path in powercap.glob("intel-rapl:*") if path.name.count(":") == 1)
        # A laptop has a zone `psys` beside them, the whole platform, its package included.
        self._packages = [path for path in zones if (path / "name").read_text().startswith("package")]
        if not self._packages:
            raise FileNotFoundError(str(powercap))
        self._ranges = [int((path / "max_energy_range_uj").read_text()) for path in self._packages]
        self._before = self._read()

    def _read(self) -> List[int]:
        return [int((path / "energy_uj").read_text()) for path in self._packages]

    def start(self) -> None:
        """Reads the counters."""
        self._before = self._read()

    def stop(self) -> float:
        """Returns the joules of all packages."""
        spans = zip(self._before, self._read(), self._ranges)
        return sum((after - before) % (span + 1) for before, after, span in spans) / 1e6


def parse_pmic(text: str) -> Optional[float]:
    """Returns the watts of `vcgencmd pmic_read_adc`: the sum of volt times ampere over rails that tell both.

    A line reads ` 3V3_SYS_A current(1)=0.06443280A` or ` 3V3_SYS_V volt(9)=3.31270600V`.

    Returns:
        None where no rail tells both.
    """
    rails: Dict[str, Dict[str, float]] = {}
    for line in text.splitlines():
        match = _READING.match(line)
        if match:
            try:
                rails.setdefault(match[1], {})[match[2]] = float(match[3])
            except ValueError:
                continue
    whole = [rail["A"] * rail["V"] for rail in rails.values() if len(rail) == 2]
    return sum(whole) if whole else None


class Pmic:
    """The power chip of a Raspberry Pi 5, read ten times a second by a thread and summed over time.

    Raises:
        OSError: When there is no `vcgencmd`, or it tells no power.
    """

    source = "pmic"

    def __init__(self) -> None:
        tool = shutil.which("vcgencmd")
        if tool is None:
            raise FileNotFoundError("vcgencmd")
        self._tool = tool
        if self._watts() is None:
            raise OSError("vcgencmd tells no power")

    def _watts(self) -> Optional[float]:
        try:
            done = subprocess.run([self._tool, "pmic_read_adc"], capture_output=True, text=True, timeout=5, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return parse_pmic(done.stdout)

    def start(self) -> None:
        """Starts the thread."""
        self._samples: List[Tuple[float, float]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._began = time.monotonic()
        self._thread.start()

    def _sample(self) -> None:
        while True:
            watts = self._watts()
            if watts is not None:
                self._samples.append((time.monotonic(), watts))
            if self._over.wait(_SAMPLE_SECONDS):
                return

    def stop(self) -> float:
        """Returns the joules: mean power times elapsed time."""
        elapsed = time.monotonic() - self._began
        self._over.set()
        self._thread.join()
        watts = [watt for _, watt in self._samples]
        return sum(watts) / len(watts) * elapsed if watts else 0.0


def find_meter() -> Optional[Meter]:
    """Returns this device's meter, or None."""
    for kind in (Rapl, Pmic):
        try:
            meter: Meter = kind()
        except (OSError, ValueError):
            continue
        return meter
    return None


def measure(calls: Sequence[Call], seconds: float, meter: Optional[Meter] = None) -> Dict[str, Any]:
    """Meters inferences back to back, apart from the timing so that no latency pays for the reading.

    Args:
        calls: Bound inferences, at least one.
        seconds: In all, in six blocks after one of sleep.
        meter: The device's own for None.

    Returns:
        `source`, None where nothing is metered; `idle_watts`; `millijoules`, an inference's energy in each
        block in which the meter told any.
    """
    meter = meter or find_meter()
    if meter is None:
        return {"source": None, "idle_watts": None, "millijoules": []}
    each = seconds / _BLOCKS
    meter.start()
    began = time.monotonic()
    time.sleep(each)
    idle = meter.stop() / (time.monotonic() - began)
    found = []
    for _ in range(_BLOCKS):
        meter.start()
        inferences = len(block(calls, each, 1))
        joules = meter.stop()
        # A tool that failed throughout tells no power, which is not none.
        if joules > 0:
            found.append(joules * 1000 / inferences)
    return {"source": meter.source, "idle_watts": idle, "millijoules": found}
