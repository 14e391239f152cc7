"""How a recipe's quantised formats are made for its device: settled, and said where it cannot be, before any work."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.runner.runtimes import installed
from edgedistil.bundle.formats import FORMATS
from edgedistil.devices.built_in import profile_folders
from edgedistil.devices.fitting import check_opened, opened_by
from edgedistil.devices.profile import DeviceProfile, load_profile
from edgedistil.pipeline.stage import StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.recipe.quantising import Quantise
from edgedistil.recipe.schema import ALL_FORMATS

if TYPE_CHECKING:
    from edgedistil.export.making import Calibrating
    from edgedistil.export.targeting import Target

_X86 = ("x86_64", "AMD64", "i686")
_OWN_STAGE = ("smooth", "backend", "qat")
_TARGET = ("max_drop", "ship_anyway")


def check_formats(build: Build) -> None:
    """Refuses a format asked for by name that the bench's device has no runtime for.

    The usual formats are made for whoever gets the bundle; of those, what the device cannot run is only not measured.

    Raises:
        UsageError: When it is so, with the formats that the device runs; or there is no such device.
    """
    asked = [name for name in build.recipe.export.formats if name not in ALL_FORMATS]
    if asked:
        check_opened(measuring_profile(build), asked, FORMATS, "export.formats")


def check_measured(build: Build) -> None:
    """Refuses formats none of which the bench's device has a runtime for.

    Raises:
        UsageError: As `check_formats`.
    """
    asked = build.recipe.export.formats
    if not opened_by(measuring_profile(build), asked):
        check_opened(measuring_profile(build), asked, FORMATS, "export.formats")


def static_parameters(build: Build, formats: Sequence[str]) -> dict[str, Any]:
    """Returns what static files depend on beyond the model, for their stage's key; nothing where there are none."""
    if not _calibrated(formats):
        return {}
    asked = build.recipe.quantise or Quantise()
    kind, reduced = device_integers(build)
    values = asked.key({*_OWN_STAGE, *_TARGET})
    return {"quantise": {**values, "activations": kind, "reduced_range": reduced, "seed": build.recipe.seed}}


def target_parameters(build: Build) -> dict[str, Any]:
    """Returns what shipped files depend on where they are to lose at most so much, for their stage's key."""
    from edgedistil.export.search.engine import VERSION

    asked = build.recipe.quantise
    if asked is None or asked.max_drop is None:
        return {}
    judged = _judged_in(build)
    told = {"runtimes": judged} if judged else {}
    return {"target": {**{name: getattr(asked, name) for name in _TARGET}, "search": VERSION, **told}}


def calibrating_of(build: Build, formats: Sequence[str], context: StageContext) -> Calibrating:
    """Returns how a stage's files of small integers are made, and of which ready model.

    Args:
        build: The recipe.
        formats: The stage's.
        context: The stage's folders: rows come from its data, a ready model from the stage before it where there is
            one, ranges are kept in its own.
    """
    from edgedistil.data.tokens import open_tokens
    from edgedistil.distil.evaluate import predict_logits
    from edgedistil.export.making import Calibrating, Ready
    from edgedistil.quantise.store import load_ready

    kind, reduced = device_integers(build)
    if not _calibrated(formats) and "quantise" not in context.inputs:
        return Calibrating(reduce_range=reduced)
    asked, ready = build.recipe.quantise or Quantise(), None
    if "quantise" in context.inputs:
        model, ranges = load_ready(context.inputs["quantise"])
        reference = predict_logits(model, open_tokens(context.inputs["data"] / "dev"))
        ready = Ready(model, ranges, reference, where_nearer=asked.compares_smoothing)
    rows = calibration_rows(build, asked, context.inputs["data"])
    return Calibrating(rows, asked.calibration, kind, reduced, context.folder, ready)


def calibration_rows(build: Build, asked: Quantise, data: Path) -> EvaluationSet:
    """Returns the training rows that ranges are found on.

    Args:
        build: The recipe.
        asked: Its section.
        data: The folder of a finished data or vocabulary stage.
    """
    from edgedistil.data.tokens import open_tokens
    from edgedistil.export.calibration import choose_rows

    return choose_rows(open_tokens(data / "train"), asked.calibration_examples, build.recipe.seed)


def target_of(build: Build, data: Path) -> Target | None:
    """Returns what a recipe's quantised files may lose, judged on the dev split; None where they may lose anything.

    Args:
        build: The recipe.
        data: The folder of a finished data or vocabulary stage.
    """
    from edgedistil.export.search.meter import FileMeter
    from edgedistil.export.targeting import Target
    from edgedistil.pipeline.training import load_splits
    from edgedistil.tasks import get_task

    asked = build.recipe.quantise
    if asked is None or asked.max_drop is None:
        return None
    splits = load_splits(data, build.recipe.task)
    task, dev, answers = get_task(splits.task, splits.labels), splits.sets["dev"], splits.answers.get("dev")
    return Target(
        asked.max_drop,
        lambda runtime: FileMeter(runtime, task, splits.labels, dev, answers),
        asked.ship_anyway,
        _judged_in(build),
    )


def _judged_in(build: Build) -> dict[str, str]:
    """Returns what is to score each format's files for a target, where it is not the format's usual runtime.

    That is the first that the bench's device has, if this machine has it as well.
    """
    opens = measuring_profile(build).opens
    found = {
        name: next((one for one in FORMATS[name].runtimes if one in opens and installed(one)), FORMATS[name].runtime)
        for name in build.recipe.export.formats
    }
    return {name: runtime for name, runtime in found.items() if runtime != FORMATS[name].runtime}


def _calibrated(formats: Sequence[str]) -> bool:
    return any(FORMATS[name].scheme.calibrated for name in formats)


def measuring_profile(build: Build) -> DeviceProfile:
    """Returns the profile of the device that a recipe's files are measured on.

    Raises:
        UsageError: When there is no such profile, or it cannot be used.
    """
    return load_profile(build.recipe.bench.device, profile_folders(build.workspace.root))


def device_integers(build: Build) -> tuple[str, bool]:
    """Returns the integers of activations, and whether weights keep 7 bits, for the recipe's device.

    A device that does not say what it is gets what runs everywhere: signed activations, and weights of 7 bits.
    """
    from edgedistil.export.quantise_onnx import needs_reduced_range

    asked = build.recipe.quantise or Quantise()
    profile = measuring_profile(build)
    here = profile.kind in ("local", "cuda")
    machine = platform.machine() if here else getattr(profile, "machine", None)
    x86 = machine in _X86
    kind = asked.activations if asked.activations != "auto" else "uint8" if x86 else "int8"
    # Whether another x86 has VNNI is not known from here, nor whether a device that says nothing is one. This machine
    # checks the file, and may need 7 bits for that.
    unknown = profile.kind == "ssh" and machine is None
    return kind, needs_reduced_range() or unknown or (x86 and not here)
