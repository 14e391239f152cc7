"""Trials: a file is built, measured against its fp32 one, logged, and dropped unless it holds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.bench.bootstrap import FloatArray
from edgedistil.errors import EdgeDistilError
from edgedistil.export.search.records import Purpose, SearchLog, Trial
from edgedistil.export.search.scheme import Meter, Scheme
from edgedistil.gate.paired import compare_scores
from edgedistil.progress import Bar

ROUNDING = 1e-9
"""Scores are ratios of sums: a drop of exactly the target may come out a rounding above it."""


@dataclass(frozen=True)
class _Reference:
    statistics: FloatArray
    probe: FloatArray


@dataclass
class Bench:
    """Where trials are made.

    Attributes:
        folder: For the files; one a scheme stays, the last that held.
        max_drop: Largest drop allowed.
        bar: Told what is tried.
        trials: The log so far.
    """

    folder: Path
    max_drop: float
    bar: Bar
    trials: list[Trial] = field(default_factory=list)
    _references: dict[tuple[Path, int], _Reference] = field(default_factory=dict)
    _scores: dict[str, float] = field(default_factory=dict)

    def place(self, scheme: Scheme) -> Path:
        """Returns where a scheme's file stays."""
        return self.folder / f"{scheme.name}{scheme.suffix}"

    def try_score(self, scheme: Scheme, kept: Sequence[str], purpose: Purpose) -> Trial:
        """Builds a file and scores it on the whole set; it stays if it holds."""
        reference = self._reference(scheme)
        start, path = time.perf_counter(), self._build(scheme, kept)
        found = self._scored(scheme, path, reference)
        trial = Trial(
            scheme=scheme.name,
            purpose=purpose,
            kept=tuple(kept),
            size_bytes=path.stat().st_size,
            seconds=round(time.perf_counter() - start, 3),
            **found,
        )
        if trial.holds:
            path.replace(self.place(scheme))
        return self._log(trial, path)

    def try_distance(self, scheme: Scheme, layer: str) -> Trial:
        """Builds a file with one layer quantised and measures how far its logits are from fp32's."""
        reference = self._reference(scheme)
        start, path = time.perf_counter(), self._build(scheme, [other for other in scheme.layers if other != layer])
        trial = Trial(
            scheme=scheme.name,
            purpose="sensitivity",
            alone=layer,
            size_bytes=path.stat().st_size,
            **_apart(scheme, path, reference),
            seconds=round(time.perf_counter() - start, 3),
        )
        return self._log(trial, path)

    def log(self) -> SearchLog:
        """Returns everything that was tried."""
        return SearchLog(max_drop=self.max_drop, reference=self._scores, trials=tuple(self.trials))

    def _scored(self, scheme: Scheme, path: Path, reference: _Reference) -> dict[str, Any]:
        try:
            paired = compare_scores(reference.statistics, scheme.meter.statistics(path), scheme.meter.metric_of)
        except EdgeDistilError as error:
            return {"fault": error.what}
        interval, drop = paired.distribution.interval(), paired.old - paired.new
        small = drop <= self.max_drop + ROUNDING
        fault = scheme.fault(path) if small else None
        return {
            "score": paired.new,
            "drop": drop,
            "drop_interval": (-interval.high, -interval.low),
            "holds": small and fault is None,
            "fault": fault,
        }

    def _build(self, scheme: Scheme, kept: Sequence[str]) -> Path:
        self.bar.describe(f"{scheme.name}, {len(kept)} of {len(scheme.layers)} layers left")
        path = self.folder / f".trial{scheme.suffix}"
        scheme.build(path, kept)
        return path

    def _log(self, trial: Trial, path: Path) -> Trial:
        path.unlink(missing_ok=True)
        self.trials.append(trial)
        self.bar.advance()
        return trial

    def _reference(self, scheme: Scheme) -> _Reference:
        key = scheme.source, id(scheme.meter)
        if key not in self._references:
            self._references[key] = _Reference(
                _statistics(scheme.meter, scheme.source), scheme.meter.probe(scheme.source)
            )
        found = self._references[key]
        self._scores[scheme.name] = float(scheme.meter.metric_of(found.statistics.sum(axis=0)))
        return found


def _apart(scheme: Scheme, path: Path, reference: _Reference) -> dict[str, Any]:
    try:
        distance = float(np.abs(scheme.meter.probe(path) - reference.probe).mean())
    except EdgeDistilError as error:
        return {"fault": error.what}
    if not np.isfinite(distance):
        return {"fault": "it gives logits that are not finite numbers"}
    return {"distance": distance}


def _statistics(meter: Meter, path: Path) -> FloatArray:
    return np.asarray(meter.statistics(path), dtype=np.float64)
