"""quantise: the final model made ready for 8 bits, smoothed or trained with rounding, with such ranges as it has."""

from __future__ import annotations

from typing import Any

from edgedistil.errors import require
from edgedistil.pipeline.quantising import device_integers
from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.prune import final_model_stage
from edgedistil.pipeline.stages.vocabulary import shipped_data_stage
from edgedistil.recipe.quantising import Quantise
from edgedistil.recipe.shipping import SMOOTHED

VERSION = 3
TRAINING_VERSION = 2
"""Goes up, where training with rounding would give another model or other ranges, for it alone."""
_SECONDS = 15.0
# Rounding after every layer, and the fp32 model beside it.
_ROUNDING = 2.0


def quantise_stage(build: Build) -> Stage | None:
    """Returns the stage that writes what `edgedistil.quantise.store` reads; None where the recipe needs none.

    Raises:
        UsageError: When the recipe names Neural Compressor, and it is not installed.
    """
    recipe, asked = build.recipe, build.recipe.quantise or Quantise()
    smoothed = asked.compares_smoothing and set(SMOOTHED).intersection(recipe.export.formats)
    if not asked.prepares and not smoothed:
        return None
    others = asked.backend == "neural-compressor"
    if others:
        require("neural_compressor", "nc")
    # TFLite's static files round what linear layers give as well; training with that is for them alone.
    outputs = any(name.startswith("tflite") and name.endswith("-static") for name in recipe.export.formats)
    _, reduced = device_integers(build)
    # 7 bits are for ONNX's kernels; where nothing is trained they are in the key alone.
    reduced = reduced and (asked.qat is None or "onnx-int8-static" in recipe.export.formats)

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.pipeline.readying import make_ready

        return make_ready(build, asked, context, outputs=outputs, weight_bits=7 if reduced else 8)

    training = _ROUNDING * build.training(recipe.student.layers, asked.qat.as_distil) if asked.qat else 0.0
    return Stage(
        name="quantise",
        version=VERSION,
        parameters={
            "quantise": asked.key({"activations", "ship_anyway", *(() if others else ("max_drop", "calibration"))}),
            "outputs": outputs,
            "reduced_range": reduced,
            "seed": recipe.seed,
            **({"training": TRAINING_VERSION} if asked.qat else {}),
        },
        inputs={"data": shipped_data_stage(build), "model": final_model_stage(build)},
        work=work,
        effort=Effort(training, seconds=_SECONDS),
        together=asked.qat is not None,
    )
