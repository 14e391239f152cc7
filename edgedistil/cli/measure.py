"""Measuring a bundle from the command line: what `bench`, `gate` and `baseline` share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgedistil.bench.cases import cases_of
from edgedistil.bench.measurement import Measurement
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.runtimes import factory_of
from edgedistil.bench.settings import BenchSettings
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.read import Bundle, open_bundle
from edgedistil.devices.profile import connect, load_profile
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.progress import TerminalProgress


@dataclass(frozen=True)
class Ask:
    """What the user asked to have measured; None is the bundle's or the device's own value."""

    device: str = "local"
    threads: int | None = None
    sequence_length: int | None = None
    formats: tuple[str, ...] = ()
    seconds: float | None = None


def device_folders() -> list[Path]:
    """Returns where device profiles are looked for: the workspace one stands in."""
    return [Path.cwd() / "devices"]


def measure_bundle(folder: Path, ask: Ask) -> tuple[Bundle, list[Measurement]]:
    """Verifies a bundle and measures its files; what fails is said and left out.

    Raises:
        UsageError: When the bundle, the device or an option cannot be used.
        EdgeDistilError: When nothing could be measured.
    """
    progress = TerminalProgress()
    bundle = open_bundle(folder)
    device = connect(load_profile(ask.device, device_folders()))
    bench = bundle.manifest.recipe.get("bench", {})
    threads = ask.threads or device.threads
    length = ask.sequence_length or bench.get("sequence_length") or bundle.manifest.max_length
    formats = _runnable(bundle, ask, device.profile.runtimes, progress)
    cases = cases_of(bundle, threads, length, formats)
    settings = BenchSettings(max_seconds=ask.seconds or bench.get("seconds_per_file") or 8.0)
    result = device.bench(cases, bundle.evaluation_path, settings, progress)
    for name, error in result.failures.items():
        progress.say(f"edgedistil: {name} left out: {error.line()}")
    if not result.measurements:
        raise next(iter(result.failures.values()), EdgeDistilError("nothing was measured", where=str(folder)))
    return bundle, result.measurements


def _runnable(bundle: Bundle, ask: Ask, runtimes: list[str], progress: TerminalProgress) -> list[str]:
    """Returns the formats to measure: those asked for, else those whose runtime is installed."""
    if ask.formats:
        return list(ask.formats)
    offered = [name for name in bundle.formats if FORMATS[name].runtime in runtimes]
    formats = [name for name in offered if _installed(FORMATS[name].runtime)]
    missing = sorted({FORMATS[name].runtime for name in offered} - {FORMATS[name].runtime for name in formats})
    extras = {"onnxruntime": "ort", "litert": "litert"}
    lines = {name: f"{name} is not installed: pip install 'edgedistil[{extras[name]}]'" for name in missing}
    if not formats:
        raise UsageError(
            "no runtime for any of its files is installed", where=str(bundle.folder), cure="; ".join(lines.values())
        )
    for line in lines.values():
        progress.say(f"edgedistil: left out: {line}")
    return formats


def _installed(runtime: str) -> bool:
    try:
        factory_of(runtime)
    except RunnerError:
        return False
    return True
