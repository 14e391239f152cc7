"""Measuring a bundle from the command line: what `bench`, `gate` and `baseline` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from edgedistil.bench.cases import Grid, grid_cases
from edgedistil.bench.measurement import Measurement
from edgedistil.bench.runner.runtimes import installed
from edgedistil.bench.scores import Examples
from edgedistil.bench.session import BenchResult
from edgedistil.bench.settings import BenchSettings
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.read import Bundle, open_bundle
from edgedistil.bundle.records import check
from edgedistil.devices import DeviceProfile, connect, load_profile, profile_folders
from edgedistil.devices.fitting import check_opened, opened_by
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.progress import TerminalProgress


@dataclass(frozen=True)
class Ask:
    """What the user asked to have measured; None, or nothing, is the bundle's or the device's own value."""

    device: str = "local"
    threads: int | tuple[int, ...] | None = None
    sequence_length: int | tuple[int, ...] | None = None
    formats: tuple[str, ...] = ()
    seconds: float | None = None
    batches: tuple[int, ...] = (1,)
    cool_below_c: float | None = None


class _Bench(BaseModel):
    """What of a recipe's `bench` counts here; another release's recipe may say other things."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    sequence_length: int | None = Field(default=None, ge=1)
    seconds_per_file: float | None = Field(default=None, gt=0)


def device_folders() -> list[Path]:
    """Returns where device profiles are looked for: the workspace one stands in, then the package."""
    return profile_folders(Path.cwd())


def measure_bundle(folder: Path, ask: Ask) -> BenchResult:
    """Verifies a bundle and measures its files; what fails is said and left out.

    Raises:
        UsageError: When the bundle, the device or an option cannot be used.
        EdgeDistilError: When nothing could be measured.
    """
    progress = TerminalProgress()
    bundle = open_bundle(folder)
    device = connect(load_profile(ask.device, device_folders()))
    bench = check(bundle.manifest.recipe.get("bench", {}), _Bench, where=f"{folder}: bench of its recipe")
    longest = bundle.manifest.max_length
    grid = Grid(
        _values(ask.threads) or (device.threads,),
        _values(ask.sequence_length) or (min(bench.sequence_length or longest, longest),),
        ask.batches,
    )
    formats, opens = _runnable(bundle, ask, device.profile, progress)
    cases, left_out = grid_cases(bundle, grid, formats, opens)
    for line in left_out:
        progress.say(f"edgedistil: {line}")
    settings = BenchSettings(
        max_seconds=ask.seconds or bench.seconds_per_file or 8.0,
        cool_below_c=ask.cool_below_c or device.profile.cool_below_c,
    )
    result = device.bench(cases, Examples.of(bundle), settings, progress)
    for name, error in result.failures.items():
        progress.say(f"edgedistil: {name} left out: {error.line()}")
    if not result.measurements:
        raise next(iter(result.failures.values()), EdgeDistilError("nothing was measured", where=str(folder)))
    return result


def _values(asked: int | tuple[int, ...] | None) -> tuple[int, ...]:
    if asked is None:
        return ()
    return (asked,) if isinstance(asked, int) else asked


def _chosen(bundle: Bundle, asked: Sequence[str], profile: DeviceProfile) -> list[str]:
    for name in asked:
        bundle.path(name)
    check_opened(profile, asked, bundle.formats, "--format")
    offered = opened_by(profile, bundle.formats)
    if not offered:
        check_opened(profile, bundle.formats, FORMATS, str(bundle.folder))
    return list(asked) or offered


def _runnable(
    bundle: Bundle, ask: Ask, profile: DeviceProfile, progress: TerminalProgress
) -> tuple[list[str], set[str]]:
    """Returns the formats to measure, those asked for or else all that the device runs, and the runtimes to do it in.

    What is installed on this machine says something of this machine alone; another tells of each file itself. A
    runtime that is missing here is said once, not for each file, unless it is the only one of a file asked for.

    Raises:
        UsageError: When the bundle lacks a format asked for, or the device or this machine a runtime for it.
    """
    chosen = _chosen(bundle, ask.formats, profile)
    if profile.kind != "local":
        return chosen, profile.opens
    wanted = {runtime for name in chosen for runtime in FORMATS[name].runtimes if runtime in profile.opens}
    there = {runtime for runtime in wanted if runtime == "pytorch" or installed(runtime)}
    formats = [name for name in chosen if there.intersection(FORMATS[name].runtimes)]
    if ask.formats and formats != chosen:
        return chosen, profile.opens
    extras = {"onnxruntime": "ort", "openvino": "openvino", "litert": "litert"}
    lines = {
        name: f"{name} is not installed: pip install 'edgedistil[{extras[name]}]'"
        for name in sorted(wanted - there)
        if name in extras
    }
    if not formats:
        raise UsageError(
            "no runtime for any of its files is installed", where=str(bundle.folder), cure="; ".join(lines.values())
        )
    for line in lines.values():
        progress.say(f"edgedistil: left out: {line}")
    return formats, profile.opens - (wanted - there)


def refuse_doubtful(measurements: Sequence[Measurement]) -> None:
    """Refuses times that were not taken under honest conditions.

    Raises:
        EdgeDistilError: For the first that was throttled, unstable or disturbed; the line says by what.
    """
    for made in measurements:
        doubts = made.conditions.doubts()
        if doubts and not made.emulated:
            raise EdgeDistilError(
                "; ".join(doubts), where=made.name, cure="let the device cool and rest, and measure again"
            )
