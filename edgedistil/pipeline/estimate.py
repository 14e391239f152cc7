"""How long a stage will take: its operations over this machine's speed, learnt from the stages it has run."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from edgedistil.bundle.records import write_text
from edgedistil.pipeline.stage import Stage

# Share of a plain fp32 matrix product's speed that a stage reached on the machines it was tried on. It serves
# the first estimate alone: after one run, that run's own speed takes its place.
_FIRST_GUESS = 0.55
_SIZE = 768


class Speeds:
    """Operations a second, stage by stage, as measured by earlier runs of this workspace.

    Args:
        root: The cache's folder.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "speeds.json"
        try:
            self._known: dict[str, float] = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}

    def seconds(self, stage: Stage) -> float:
        """Returns the estimate of a stage's time."""
        effort = stage.effort
        if not effort.operations:
            return effort.seconds
        if "machine" not in self._known:
            self._known["machine"] = matrix_speed()
        speed = self._known.get(stage.name, _FIRST_GUESS * self._known["machine"])
        return effort.seconds + effort.operations / speed

    def learn(self, stage: Stage, seconds: float) -> None:
        """Notes how fast a stage was.

        Raises:
            EdgeDistilError: When the disk is full.
        """
        busy = seconds - stage.effort.seconds
        if stage.effort.operations and busy > 0:
            self._known[stage.name] = stage.effort.operations / busy
            write_text(self._path, json.dumps(self._known, indent=1))


def matrix_speed() -> float:
    """Returns operations a second of an fp32 matrix product, the best of a few: a busy moment is not the machine's."""
    generator = np.random.default_rng(0)
    left = generator.standard_normal((_SIZE, _SIZE)).astype(np.float32)
    times = []
    for _ in range(12):
        started = time.perf_counter()
        left @ left
        times.append(time.perf_counter() - started)
    return 2.0 * _SIZE**3 / min(times)


def human_time(seconds: float) -> str:
    """Returns a time as a person says it: `8 s`, `3 min 20 s`, `1 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole else "< 1 s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
