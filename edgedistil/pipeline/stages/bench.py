"""bench: every file measured, interleaved, on the recipe's device."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Any

from edgedistil.devices.built_in import profile_folders
from edgedistil.devices.profile import Device, connect, load_profile
from edgedistil.hashing import hash_value
from edgedistil.pipeline.quantising import check_measured
from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.bundle import bundle_stage, reference_stage
from edgedistil.pipeline.stages.context import Build

VERSION = 2
_OVERHEAD_SECONDS = 8.0
# What brings a runtime, by its name up to the hyphen; the first that is installed counts.
_PACKAGES = {
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime"),
    "openvino": ("openvino",),
    "litert": ("ai-edge-litert", "tflite-runtime"),
    "pytorch": ("torch",),
}


def open_device(build: Build) -> Device:
    """Returns the recipe's device.

    Raises:
        UsageError: When the workspace has no such profile.
    """
    return connect(load_profile(build.recipe.bench.device, profile_folders(build.workspace.root)))


def bench_stage(build: Build) -> Stage:
    """Returns the stage that writes `measurements.jsonl`, the teacher's row first.

    Raises:
        UsageError: When the device has no runtime for any file that ships, or there is no such device.
    """
    recipe = build.recipe
    check_measured(build)
    device = open_device(build)
    inputs = {"reference-teacher": reference_stage(build, "teacher")}
    if recipe.prune is not None:
        inputs["reference-student"] = reference_stage(build, "student")
    inputs["bundle"] = bundle_stage(build)

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.pipeline.measuring import measure

        return measure(build, device, context)

    files = len(recipe.export.formats) + len(inputs)
    return Stage(
        name="bench",
        version=VERSION,
        parameters={
            "bench": recipe.bench.model_dump(),
            "threads": device.threads,
            "pruned": recipe.prune is not None,
            # A runtime that is added to the profile, or installed, has its files measured.
            "runtimes": _versions(device.profile.runtimes),
            "cool_below_c": device.profile.cool_below_c,
        },
        inputs=inputs,
        work=work,
        # Another machine's times are not this one's.
        fingerprints={"device": hash_value(device.facts().model_dump(exclude={"memory_mb"}))},
        effort=Effort(seconds=files * (_OVERHEAD_SECONDS + recipe.bench.seconds_per_file)),
    )


def _versions(runtimes: Sequence[str]) -> dict[str, str]:
    """Returns each runtime's version as this machine has it, by which a device is set up as well; "" for none."""
    return {name: next(filter(None, map(_version, _PACKAGES[name.partition("-")[0]])), "") for name in runtimes}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
