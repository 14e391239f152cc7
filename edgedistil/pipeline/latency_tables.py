"""Which latency tables a recipe, a bundle or a model's folder needs; a recipe's plan is made of it without torch."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedistil.bench.facts import DeviceFacts
from edgedistil.bench.latency import LatencyTable, Setting, Shape, kept_tables
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.paths import MANIFEST_NAME
from edgedistil.bundle.read import read_manifest
from edgedistil.devices.built_in import profile_folders
from edgedistil.devices.profile import Device, connect, load_profile
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.export.versions import exporter_changes
from edgedistil.pipeline.cache import StageCache, cache_root
from edgedistil.pipeline.stages.context import Build
from edgedistil.profiling.runtimes import check_runtime
from edgedistil.recipe.load import Workspace, load_recipe
from edgedistil.recipe.schema import ALL_FORMATS, Prune, Recipe
from edgedistil.tasks import get_task

_LENGTH = 128
_FORMAT = "tflite-int8"
_PACKAGES = {"onnxruntime": "onnxruntime", "litert": "ai-edge-litert"}


@dataclass(frozen=True)
class Asked:
    """The tables that are wanted, and the folder in which tables are kept."""

    settings: list[Setting]
    cache: Path


@dataclass(frozen=True)
class Place:
    """Where and how a recipe's pruned file will run.

    Attributes:
        device: The recipe's device.
        facts: What it is.
        runtime_version: Of the format's runtime as this machine has it, which is what a device is set up with.
        setting: Format, threads, sequence length, and the shape of the student before pruning.
    """

    device: Device
    facts: DeviceFacts
    runtime_version: str
    setting: Setting


def tables_folder(workspace: Path) -> Path:
    """Returns where a workspace's latency tables are kept."""
    return cache_root(workspace) / "latency"


def place_of(build: Build) -> Place:
    """Returns where a recipe's pruned file will run.

    Raises:
        UsageError: When there is no such device, or it cannot run the format.
    """
    recipe = build.recipe
    device = connect(load_profile(recipe.bench.device, profile_folders(build.workspace.root)))
    name = recipe.prune.format if recipe.prune else _FORMAT
    check_runtime(device.profile, name)
    setting = Setting(
        format=name,
        threads=recipe.bench.threads or device.threads,
        sequence_length=recipe.bench_length,
        shape=student_shape(recipe, build.start_config),
    )
    return Place(device, device.facts(), _installed(FORMATS[name].runtime), setting)


def check_format(recipe: Recipe, prune: Prune) -> None:
    """Refuses a budget of a file that the recipe does not make.

    Raises:
        UsageError: When it is so.
    """
    kind, _ = prune.budget
    if prune.format not in recipe.export.formats:
        raise UsageError(
            f"the budget is of {prune.format}, which is not among export.formats",
            where=f"prune.{'targets' if prune.targets else kind}",
            cure=f"add it there, or set prune.format to one of: {', '.join(recipe.export.formats)}",
        )


def known_table(build: Build) -> LatencyTable | None:
    """Returns the table that a recipe's device was given earlier, if it was and nothing it depends on has changed."""
    place, folder = build.place, tables_folder(build.workspace.root)
    now = (place.setting, place.runtime_version, exporter_changes(place.setting.format))
    for table in kept_tables(folder, place.device.profile.name, place.setting.format):
        made = (table.setting, table.runtime_version, table.exporter)
        if made == now and table.device.same_device(place.facts):
            return table
    return None


def student_shape(recipe: Recipe, teacher: Mapping[str, Any]) -> Shape:
    """Returns the shape of a recipe's student before pruning.

    Args:
        recipe: The checked recipe.
        teacher: The `config.json` of what it starts as, the teacher's as a rule: `bert`, `distilbert` or our own.
    """
    student = recipe.student
    theirs = int(teacher.get("hidden_size") or teacher["dim"])
    width = student.hidden_size or theirs
    ffn = _largest(teacher, "ffn", "intermediate_size", "hidden_dim")
    if "head_size" in teacher:
        whole = theirs // int(teacher["head_size"])
        heads = student.heads or (whole if student.hidden_size or student.ffn else _largest(teacher, "heads"))
        head_size = width // (student.heads or whole)
    else:
        heads = student.heads or _largest(teacher, "num_attention_heads", "n_heads")
        head_size = width // heads
    return Shape(
        layers=student.layers,
        hidden_size=width,
        head_size=head_size,
        heads=heads,
        ffn=student.ffn or ffn * width // theirs,
        first_token=get_task(recipe.task).kind in ("class", "value"),
        activation=str(teacher.get("hidden_act") or teacher.get("activation") or "gelu"),
    )


def _largest(teacher: Mapping[str, Any], *names: str) -> int:
    found = next(teacher[name] for name in names if teacher.get(name))
    return int(max(found) if isinstance(found, list) else found)


def _installed(runtime: str) -> str:
    try:
        return importlib.metadata.version(_PACKAGES.get(runtime, runtime))
    except importlib.metadata.PackageNotFoundError:
        return ""


def settings_of(
    source: Path, formats: Sequence[str], threads: int | None, length: int | None, *, device_threads: int = 1
) -> Asked:
    """Returns the tables for a recipe, a bundle or a model's folder.

    Args:
        source: A recipe's YAML file, a bundle's folder or a checkpoint's.
        formats: What will ship; by default the recipe's `prune.format`, or `tflite-int8`.
        threads: Threads an inference may use; by default the recipe's, else the device's.
        length: Tokens; by default what the recipe or bundle is measured at, or 128.
        device_threads: The device's.

    Raises:
        UsageError: When there is no such file, it is none of these, or a format is unknown.
    """
    for name in formats:
        if name not in ALL_FORMATS:
            raise UsageError(f"unknown format '{name}'", where="--format", cure=did_you_mean(name, ALL_FORMATS))
    if source.is_file():
        return _of_recipe(source, formats, threads, length, device_threads)
    if not source.is_dir():
        raise UsageError("no such recipe or folder", where=str(source), cure="give a recipe, a bundle or a model")
    return _of_folder(source, formats, threads or device_threads, length)


def _of_recipe(
    path: Path, formats: Sequence[str], threads: int | None, length: int | None, device_threads: int
) -> Asked:
    recipe, workspace = load_recipe(path), Workspace.of_recipe(path)
    build = Build(recipe, workspace, StageCache(cache_root(workspace.root)))
    wanted = formats or [recipe.prune.format if recipe.prune else _FORMAT]
    tokens = length or recipe.bench_length
    shape = student_shape(recipe, build.start_config)
    wide = threads or recipe.bench.threads or device_threads
    return Asked(_settings(shape, wanted, wide, tokens), tables_folder(workspace.root))


def _of_folder(source: Path, formats: Sequence[str], threads: int, length: int | None) -> Asked:
    from edgedistil.checkpoint import read_config
    from edgedistil.models.convert import config_from
    from edgedistil.profiling.table import shape_of

    plain = source / "pytorch" if (source / "pytorch" / "config.json").is_file() else source
    config = config_from(read_config(plain), str(plain))
    tokens = length or _bundled_length(source) or min(_LENGTH, config.max_position_embeddings)
    made = _settings(shape_of(config), formats or [_FORMAT], threads, tokens)
    return Asked(made, tables_folder(Path.cwd()))


def _settings(shape: Shape, formats: Sequence[str], threads: int, length: int) -> list[Setting]:
    return [Setting(format=name, threads=threads, sequence_length=length, shape=shape) for name in formats]


def _bundled_length(folder: Path) -> int | None:
    """Returns the length at which a bundle was measured; None for a folder that is none."""
    if not (folder / MANIFEST_NAME).is_file():
        return None
    manifest = read_manifest(folder)
    return min(manifest.recipe.get("bench", {}).get("sequence_length", manifest.max_length), manifest.max_length)
