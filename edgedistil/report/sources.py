"""What a report is made of: a run's folder, a bundle, a file of measurements, or a folder of several runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgedistil.bench.measurement import Measurement, read_measurements
from edgedistil.bundle.paths import MANIFEST_NAME
from edgedistil.bundle.read import Bundle, open_bundle
from edgedistil.errors import UsageError

MEASUREMENTS = "measurements.jsonl"


@dataclass(frozen=True)
class Source:
    """One run, or one device's measurements.

    Attributes:
        name: What a table calls it.
        measurements: A row each.
        bundle: What was measured, where it lies beside the measurements.
        folder: The run's folder, None for a lone file.
    """

    name: str
    measurements: list[Measurement]
    bundle: Bundle | None = None
    folder: Path | None = None


def open_sources(places: Sequence[Path]) -> list[Source]:
    """Reads everything a report is asked for.

    Args:
        places: Files of measurements, folders of runs, their bundles, or a folder that holds several runs.

    Returns:
        A source each, named so that they can be told apart.

    Raises:
        UsageError: When a place holds no measurements, or they cannot be read.
    """
    found = [source for place in places for source in _open(place)]
    twice = {name for name, count in Counter(source.name for source in found).items() if count > 1}
    return [
        replace(source, name=f"{source.name} ({number})") if source.name in twice else source
        for number, source in enumerate(found, 1)
    ]


def _open(place: Path) -> list[Source]:
    if place.is_file():
        return [Source(place.stem, _read(place))]
    if (place / MEASUREMENTS).is_file():
        return [_run(place)]
    if (place / MANIFEST_NAME).is_file() and (place.resolve().parent / MEASUREMENTS).is_file():
        return [_run(place.resolve().parent)]
    runs = sorted(path.parent for path in place.glob(f"*/{MEASUREMENTS}")) if place.is_dir() else []
    if not runs:
        raise UsageError(
            "no measurements there",
            where=str(place),
            cure="make them with: edgedistil run RECIPE, or edgedistil bench BUNDLE --output FILE",
        )
    return [_run(run) for run in runs]


def _run(folder: Path) -> Source:
    bundle = open_bundle(folder / "bundle") if (folder / "bundle").is_dir() else None
    return Source(folder.resolve().name, _read(folder / MEASUREMENTS), bundle, folder)


def _read(path: Path) -> list[Measurement]:
    measurements = read_measurements(path)
    if not measurements:
        raise UsageError("the file holds no measurement", where=str(path), cure="make it with: edgedistil bench")
    return measurements
