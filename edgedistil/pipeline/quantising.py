"""How a recipe's static formats are made for its device: settled, and said where it cannot be, before any work."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgedistil.bundle.formats import FORMATS
from edgedistil.devices.profile import DeviceProfile, load_profile
from edgedistil.errors import UsageError
from edgedistil.pipeline.stage import StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.recipe.quantising import Quantise
from edgedistil.recipe.schema import ALL_FORMATS

if TYPE_CHECKING:
    from edgedistil.export.all import Calibrating

_X86 = ("x86_64", "AMD64", "i686")


def check_formats(build: Build) -> None:
    """Refuses a format asked for by name that the bench's device has no runtime for.

    The usual formats are made for whoever gets the bundle; of those, what the device cannot run is only not measured.

    Raises:
        UsageError: When it is so, with the formats that the device runs; or there is no such device.
    """
    asked = [name for name in build.recipe.export.formats if name not in ALL_FORMATS]
    if not asked:
        return
    profile = _profile(build)
    for name in asked:
        if not profile.opens.intersection(FORMATS[name].runtimes):
            able = [other for other, made in FORMATS.items() if profile.opens.intersection(made.runtimes)]
            raise UsageError(
                f"device '{profile.name}' runs no {' or '.join(FORMATS[name].runtimes)}, which {name} needs",
                where="export.formats",
                cure=f"choose one of: {', '.join(able)}",
            )


def static_parameters(build: Build, formats: Sequence[str]) -> dict[str, Any]:
    """Returns what static files depend on beyond the model, for their stage's key; nothing where there are none."""
    if not _calibrated(formats):
        return {}
    asked = build.recipe.quantise or Quantise()
    kind, reduced = _target(build, asked)
    return {"quantise": {**asked.key(), "activations": kind, "reduced_range": reduced, "seed": build.recipe.seed}}


def calibrating_of(build: Build, formats: Sequence[str], context: StageContext) -> Calibrating | None:
    """Returns how a stage's static files are made; None where there are none.

    Args:
        build: The recipe.
        formats: The stage's.
        context: The stage's folders: rows come from its data, ranges are kept in its own.
    """
    from edgedistil.data.tokens import open_tokens
    from edgedistil.export.all import Calibrating
    from edgedistil.export.calibration import choose_rows

    if not _calibrated(formats):
        return None
    asked = build.recipe.quantise or Quantise()
    kind, reduced = _target(build, asked)
    rows = choose_rows(open_tokens(context.inputs["data"] / "train"), asked.calibration_examples, build.recipe.seed)
    return Calibrating(rows, asked.calibration, kind, reduced, context.folder)


def _calibrated(formats: Sequence[str]) -> bool:
    return any(FORMATS[name].scheme.calibrated for name in formats)


def _profile(build: Build) -> DeviceProfile:
    return load_profile(build.recipe.bench.device, [build.workspace.root / "devices"])


def _target(build: Build, asked: Quantise) -> tuple[str, bool]:
    """Returns the integers of activations, and whether weights keep 7 bits, for the recipe's device.

    A device that does not say what it is gets what runs everywhere: signed activations.
    """
    from edgedistil.export.quantise_onnx import needs_reduced_range

    profile = _profile(build)
    here = profile.kind in ("local", "cuda")
    machine = platform.machine() if here else getattr(profile, "machine", None)
    x86 = machine in _X86
    kind = asked.activations if asked.activations != "auto" else "uint8" if x86 else "int8"
    # Whether another x86 has VNNI is not known from here.
    return kind, needs_reduced_range() if here else x86
