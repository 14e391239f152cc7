"""Measuring whole models on a device, several in one interleaved session, in the form that ships."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from edgedistil.bench.latency import Setting
from edgedistil.bench.latency_fit import steady_costs, unit_of
from edgedistil.devices.profile import Device
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.profiling.files import export_as, file_name
from edgedistil.profiling.table import COMPARE, case_of, cooled
from edgedistil.progress import Progress, SilentProgress


def measure_models(
    device: Device,
    setting: Setting,
    models: Sequence[EdgeBertHeadModel],
    progress: Progress | None = None,
) -> list[float]:
    """Returns what models cost on a device, in milliseconds or an emulator's instructions.

    Args:
        device: Where.
        setting: Format, threads and sequence length; its shape is not looked at.
        models: In fp32.
        progress: Where to report.

    Raises:
        EdgeDistilError: When a file cannot be made or measured.
    """
    progress = progress or SilentProgress()
    cases = []
    with tempfile.TemporaryDirectory() as scratch:
        with progress.bar("making models to measure", len(models)) as bar:
            for number, model in enumerate(models):
                path = Path(scratch) / file_name(number, setting)
                export_as(model, setting, path)
                cases.append(case_of(path.stem, path, setting))
                bar.advance()
        measurements = device.bench(cases, None, cooled(COMPARE, device), progress).complete()
    return steady_costs(measurements, unit_of(measurements))


def measurer(
    device: Device, setting: Setting, progress: Progress | None = None
) -> Callable[[Sequence[EdgeBertHeadModel]], list[float]]:
    """Returns `measure_models` for one device and setting, as `edgedistil.prune.prune_to_target` wants it."""
    return lambda models: measure_models(device, setting, models, progress)


def file_megabytes(
    setting: Setting, models: Sequence[EdgeBertHeadModel], lengths: Sequence[int] | None = None
) -> list[float]:
    """Returns the size of models' files, in megabytes (10^6 bytes): what `size_mb` is measured by.

    Args:
        setting: Format and sequence length; its shape is not looked at.
        models: In fp32.
        lengths: Lengths that a file of static shapes is made for; the setting's alone by default.
    """
    with tempfile.TemporaryDirectory() as scratch:
        sizes = []
        for number, model in enumerate(models):
            path = Path(scratch) / file_name(number, setting)
            export_as(model, setting, path, lengths)
            sizes.append(path.stat().st_size / 1e6)
    return sizes
