"""Making a device's latency table, and finding one that was made before."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from edgedistil.bench.cases import Case
from edgedistil.bench.latency import LatencyTable, Probe, Setting, Shape, kept_tables, table_key, write_table
from edgedistil.bench.latency_fit import Costs, Design, designs, grid_of, solve, steady_costs, unit_of
from edgedistil.bench.measurement import Measurement
from edgedistil.bench.settings import BenchSettings
from edgedistil.bundle.formats import FORMATS
from edgedistil.devices.profile import Device
from edgedistil.export.versions import exporter_changes
from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.profiling.files import file_name, make_file
from edgedistil.profiling.runtimes import check_runtime
from edgedistil.progress import Progress, SilentProgress

# All files take the same number of short turns, so that every round holds all of them and its drift can be told.
MEASURE = BenchSettings(
    max_seconds=0.6,
    relative_width=1e-6,
    min_blocks=8,
    block_seconds=0.07,
    warmup_seconds=1.0,
    memory_inferences=1,
    latency_inputs=2,
)
# A few whole models, of which a small difference decides: long enough that nobody disturbs the fastest inference.
COMPARE = MEASURE.model_copy(update={"max_seconds": 3.0, "min_blocks": 40})
_GLANCE = BenchSettings(
    max_seconds=0.05,
    min_blocks=2,
    block_seconds=0.0,
    min_block_samples=1,
    warmup_seconds=0.0,
    memory_inferences=1,
    latency_inputs=1,
)


def cooled(settings: BenchSettings, device: Device) -> BenchSettings:
    """Returns the settings with the temperature below which a device is to be measured."""
    return settings.model_copy(update={"cool_below_c": device.profile.cool_below_c})


def shape_of(config: EdgeBertConfig) -> Shape:
    """Returns the sizes that decide what a model's sublayers cost, from its configuration."""
    head = getattr(config, "head", "sequence")
    return Shape(
        layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        head_size=config.head_size,
        heads=max(*config.heads, 1),
        ffn=max(*config.ffn, 1),
        first_token=head == "sequence",
        activation=config.activation,
    )


def make_table(
    device: Device, setting: Setting, folder: Path | None = None, progress: Progress | None = None
) -> LatencyTable:
    """Measures a table on a device.

    Args:
        device: Where.
        setting: Format, threads, sequence length and shape.
        folder: Where the model files go; a temporary folder for None.
        progress: Where to report.

    Raises:
        UsageError: When the device has no runtime for the format.
        EdgeDistilError: When a file cannot be made or measured.
    """
    progress = progress or SilentProgress()
    check_runtime(device.profile, setting.format)
    started, clock = datetime.now(timezone.utc).isoformat(timespec="seconds"), time.monotonic()
    grid = grid_of(setting.shape)
    models = designs(setting.shape, grid)
    with tempfile.TemporaryDirectory() as scratch:
        cases = _files(models, setting, folder or Path(scratch), progress)
        measurements = device.bench(cases, None, cooled(MEASURE, device), progress).complete()
    unit = unit_of(measurements)
    measured = steady_costs(measurements, unit)
    used = [number for number, model in enumerate(models) if not model.held_out]
    costs = solve(setting.shape, grid, [models[number] for number in used], [measured[number] for number in used])
    table = _table(device, setting, measurements[0], costs)
    return table.model_copy(
        update={
            "unit": unit,
            "probes": _probes(table, models, measured),
            "seconds": round(time.monotonic() - clock, 1),
            "started": started,
        }
    )


def table_for(
    device: Device, setting: Setting, cache: Path, progress: Progress | None = None, *, fresh: bool = False
) -> LatencyTable:
    """Returns the cached table of a device and setting, or makes it: another device, runtime or exporter makes it anew.

    Args:
        device: Where to measure.
        setting: Format, threads, sequence length and shape.
        cache: Folder of tables.
        progress: Where to report.
        fresh: Measure in any case.

    Raises:
        UsageError: When the device has no runtime for the format.
        EdgeDistilError: When it cannot be measured.
    """
    progress = progress or SilentProgress()
    check_runtime(device.profile, setting.format)
    if not fresh:
        for table in kept_tables(cache, device.profile.name, setting.format, progress.say):
            if table.setting == setting and table.key == _key_now(device, setting, cache):
                return table
    table = make_table(device, setting, progress=progress)
    write_table(table, cache / f"{device.profile.name}-{setting.format}-{table.key}.json")
    return table


def _key_now(device: Device, setting: Setting, cache: Path) -> str:
    """Returns the key of a table made now: the smallest model is run once, for the runtime's version over there."""
    path = cache / "files" / f"{setting.format}-{setting.sequence_length}{Path(FORMATS[setting.format].path).suffix}"
    if not path.is_file():
        tiny = Shape(layers=1, hidden_size=8, head_size=8, heads=1, ffn=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            whole = Path(scratch) / path.name
            make_file(Design((1,), (8,)), setting.model_copy(update={"shape": tiny}), whole)
            whole.replace(path)
    made = device.bench([case_of("version", path, setting)], None, _GLANCE).complete()[0]
    return table_key(made.device, made.runtime_version, setting, exporter_changes(setting.format))


def _files(models: Sequence[Design], setting: Setting, folder: Path, progress: Progress) -> list[Case]:
    cases = []
    with progress.bar("making models to measure", len(models)) as bar:
        for number, model in enumerate(models):
            path = folder / file_name(number, setting)
            make_file(model, setting, path)
            cases.append(case_of(path.stem, path, setting))
            bar.advance()
    return cases


def case_of(name: str, path: Path, setting: Setting) -> Case:
    """Returns how a file is measured under a setting."""
    runtime = FORMATS[setting.format].runtime
    return Case(name, "latency table", path, setting.format, runtime, setting.threads, setting.sequence_length)


def _table(device: Device, setting: Setting, first: Measurement, costs: Costs) -> LatencyTable:
    return LatencyTable(
        device_name=device.profile.name,
        device=first.device,
        runtime=first.runtime,
        runtime_version=first.runtime_version,
        setting=setting,
        exporter=exporter_changes(setting.format),
        rest=costs.rest,
        attention=costs.attention,
        ffn=costs.ffn,
        last_attention=costs.last_attention,
        last_ffn=costs.last_ffn,
    )


def _probes(table: LatencyTable, models: Sequence[Design], measured: Sequence[float]) -> list[Probe]:
    return [
        Probe(
            heads=list(model.heads),
            ffn=list(model.ffn),
            measured=cost,
            predicted=table.predict(model.heads, model.ffn),
            held_out=model.held_out,
        )
        for model, cost in zip(models, measured, strict=True)
    ]
