"""Quantisation-aware training in which the model teaches its fake-quantised self.

The loop, its losses, checkpoints and resumption are distillation's; the student is the prepared model, the teacher the
same one in fp32. A recipe drops nothing out here unless it says so, for that noise is larger than what rounding does:
after 100 steps on SST-2's pruned 6 x 384 student the rounded model's logits were 0.06 from the fp32 model's on average,
with dropout (200 steps) 0.25. The best checkpoint is the one that scores best as it will ship: rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.distil import distil
from edgedistil.distil.following import last_with_heads
from edgedistil.distil.outputs import LiveTeacher
from edgedistil.distil.precision import Precision, choose_precision
from edgedistil.distil.trainer import TrainingResult, TrainingSet
from edgedistil.progress import Progress
from edgedistil.quantise.prepare import Config, calibrate, prepare, strip
from edgedistil.quantise.ranges import Ranges
from edgedistil.quantise.scaling import Model
from edgedistil.recipe.schema import Distil


@dataclass(frozen=True)
class Trained(Generic[Model]):
    """What training for 8 bits gave.

    Attributes:
        model: A plain model, in eval mode, whose weights are to be rounded.
        ranges: Of its activations.
        training: The run; its dev score is the rounded model's.
    """

    model: Model
    ranges: Ranges
    training: TrainingResult


def quantise_aware(
    model: Model,
    data: TrainingSet,
    settings: Distil,
    calibration: EvaluationSet,
    folder: Path,
    *,
    config: Config | None = None,
    seed: int,
    progress: Progress | None = None,
    checkpoint_seconds: float = 30.0,
    precision: Precision | None = None,
) -> Trained[Model]:
    """Trains a model to be right when its weights and activations are rounded.

    Args:
        model: In fp32, smoothed or not; left as it is.
        data: Training and dev rows.
        settings: Epochs, rate and losses; `soft_targets` and `hidden_states` follow the fp32 model.
        calibration: Training rows from which the ranges start.
        folder: Checkpoints; a run that finds its own here goes on from it.
        config: What is quantised, and how.
        seed: Of order and dropout.
        progress: Where the bar is shown.
        checkpoint_seconds: Time between checkpoints.
        precision: "bf16" or "no"; by default what the machine does natively. In bf16 the rounded values are themselves
            rounded to 8 significant bits on their way into a product.

    Raises:
        UsageError: When the losses do not fit the model.
        EdgeDistilError: When the loss is no longer a number.
    """
    precision = precision or choose_precision()
    student = prepare(model, config)
    # The teacher has the student's own layers, of which pruning may have left the last one without a head.
    settings = settings.model_copy(update={"relation_layer": last_with_heads(model.config.heads) or None})
    calibrate(student, calibration)
    training = distil(
        student,
        data,
        settings,
        LiveTeacher(model, bf16=precision == "bf16"),
        folder,
        seed=seed,
        section="quantise.qat",
        progress=progress,
        checkpoint_seconds=checkpoint_seconds,
        precision=precision,
    )
    plain, ranges = strip(student)
    return Trained(plain.eval(), ranges, training)
