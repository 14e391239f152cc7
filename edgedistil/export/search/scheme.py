"""What a search is given: schemes that build files, and a meter that says what a file is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgedistil.bench.bootstrap import FloatArray

Build = Callable[[Path, Sequence[str]], Any]
"""Writes a scheme's file to a path, with the layers named left in higher precision."""


Fault = Callable[[Path], str | None]
"""Says why a file cannot ship whatever its score, or None."""


def _faultless(path: Path) -> str | None:
    del path
    return None


class Meter(Protocol):
    """What a file answers in its runtime; of one that does not run it raises `EdgeDistilError`."""

    def statistics(self, path: Path) -> FloatArray:
        """Returns a file's additive statistics on the whole set, [examples, k], examples always in the same order."""

    def probe(self, path: Path) -> FloatArray:
        """Returns a file's logits on some rows, in one dimension: a finer measure than the answers, and a quicker."""

    def metric_of(self, sums: FloatArray) -> FloatArray:
        """Returns the score of summed statistics, [..., k] to [...]; more is better."""


@dataclass(frozen=True)
class Scheme:
    """One way to quantise a file.

    Attributes:
        name: As ai-edge-quantizer names schemes, and unlike every other of the search; it names the file too.
        source: The fp32 file that it is made from and held against.
        build: Makes its file.
        layers: What may be left in higher precision.
        meter: Measures its file, and its source, in the runtime that will run it.
        cost: What the file costs on the device, measured or estimated, in the same unit for all: the cheapest is tried
            first, those that cost the same in the order given.
        suffix: Of its file.
        fault: Looks at a file that keeps the score.
    """

    name: str
    source: Path
    build: Build
    layers: Sequence[str]
    meter: Meter
    cost: float = 0.0
    suffix: str = ".bin"
    fault: Fault = _faultless
