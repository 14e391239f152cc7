"""export: the final model's files, each checked. reference: the teacher's and the student's, to be held against."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from edgedistil.bundle.formats import FORMATS
from edgedistil.pipeline.quantising import (
    check_formats,
    device_integers,
    measuring_profile,
    static_parameters,
    target_parameters,
)
from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.data import data_stage
from edgedistil.pipeline.stages.distil import distil_stage
from edgedistil.pipeline.stages.prune import final_model_stage
from edgedistil.pipeline.stages.quantise import quantise_stage
from edgedistil.pipeline.stages.teacher import teacher_stage
from edgedistil.pipeline.stages.vocabulary import shipped_data_stage
from edgedistil.recipe.schema import FormatName
from edgedistil.recipe.shipping import SMOOTHED

VERSION = 6
_TFLITE_STATIC = {"tflite-int8-static", "tflite-int16-static"}
_SECONDS_A_FORMAT = 12.0
# A format that misses its target is made and run about a dozen times.
_SEARCHING = 6.0


def bundle_stage(build: Build) -> Stage:
    """Returns the stage that writes the `bundle/` that is shipped.

    Raises:
        UsageError: When the bench's device cannot run a format that the recipe asks for.
    """
    check_formats(build)
    return _stage(build, "export", final_model_stage(build), build.recipe.export.formats)


def reference_stage(build: Build, which: str) -> Stage:
    """Returns the stage that writes the teacher's or the student's own bundle, in fp32.

    A student that is to become so many times faster is also made in the format that this is said of.

    Args:
        build: The recipe.
        which: `teacher` or `student`.
    """
    model = teacher_stage(build) if which == "teacher" else distil_stage(build)
    return _stage(build, f"reference-{which}", model, reference_formats(build, which))


def reference_formats(build: Build, which: str) -> list[FormatName]:
    """Returns the formats in which the teacher or the student is measured beside what ships."""
    prune, fp32 = build.recipe.prune, _fp32_of(measuring_profile(build).opens)
    if which == "student" and prune and (prune.speedup or prune.targets) and prune.format != fp32:
        return [fp32, prune.format]
    return [fp32]


def _fp32_of(opens: Collection[str]) -> FormatName:
    """Returns the fp32 format that a device opens: ONNX, but where it has LiteRT alone."""
    onnx = set(FORMATS["onnx-fp32"].runtimes).intersection(opens)
    return "tflite-fp32" if "litert" in opens and not onnx else "onnx-fp32"


def _stage(build: Build, name: str, model: Stage, formats: Sequence[str]) -> Stage:
    from edgedistil.export.onnx_int4 import VERSION as INT4_VERSION
    from edgedistil.export.quantise_onnx import VERSION as DYNAMIC_VERSION
    from edgedistil.export.quantise_onnx import needs_reduced_range
    from edgedistil.export.quantise_onnx_static import VERSION as STATIC_VERSION
    from edgedistil.export.quantise_tflite_static import VERSION as TFLITE_STATIC_VERSION

    recipe, shipped = build.recipe, name == "export"
    ready = quantise_stage(build) if shipped else None
    target = target_parameters(build) if shipped else {}
    # Before the one that ships, a file that may be smoothed is made in both forms.
    files = len(formats) + (2 * len(set(SMOOTHED).intersection(formats)) if ready else 0)

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.pipeline.bundling import make_bundle

        return make_bundle(build, model, ready, name, list(formats), context)

    return Stage(
        name=name,
        version=VERSION,
        parameters={
            "formats": list(formats),
            "sequence_lengths": recipe.export.sequence_lengths,
            "max_length": recipe.max_length,
            "name": recipe.name,
            "licences": [recipe.examples.licence, recipe.teacher.licence],
            "reduced_range": "onnx-int8" in formats and (needs_reduced_range() or device_integers(build)[1]),
            **({"onnx_int4": INT4_VERSION} if "onnx-int4" in formats else {}),
            **({"onnx_dynamic": DYNAMIC_VERSION} if "onnx-int8" in formats else {}),
            **({"onnx_static": STATIC_VERSION} if "onnx-int8-static" in formats else {}),
            **({"tflite_static": TFLITE_STATIC_VERSION} if _TFLITE_STATIC.intersection(formats) else {}),
            **static_parameters(build, formats),
            **target,
        },
        inputs={
            "data": shipped_data_stage(build) if shipped else data_stage(build),
            "model": model,
            **({"quantise": ready} if ready else {}),
        },
        work=work,
        fingerprints={"tokeniser": build.tokeniser},
        effort=Effort(seconds=_SECONDS_A_FORMAT * files * (_SEARCHING if target else 1.0)),
    )
