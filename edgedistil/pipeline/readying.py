"""Making a model ready for fixed ranges as a recipe asks: smoothing, training with rounding, or a backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from torch import nn

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.judge import TaskJudge
from edgedistil.export.calibration import check_rows
from edgedistil.models import EdgeBertHeadModel, load_model
from edgedistil.pipeline.quantising import calibration_rows
from edgedistil.pipeline.stage import StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.training import Splits, checkpoint_seconds, load_splits, training_record
from edgedistil.progress import Progress
from edgedistil.quantise.prepare import Config, calibrate, prepare, ranges_of
from edgedistil.quantise.qat import quantise_aware
from edgedistil.quantise.ranges import Range, Ranges
from edgedistil.quantise.smooth import Smoothing, smooth
from edgedistil.quantise.store import save_ready
from edgedistil.recipe.schema import Quantise


def make_ready(
    build: Build, asked: Quantise, context: StageContext, *, outputs: bool, weight_bits: int
) -> dict[str, Any]:
    """Writes a ready model and its ranges, which are none where smoothing is all: the files are then calibrated.

    Args:
        build: The recipe.
        asked: Its section.
        context: The stage's folders.
        outputs: Train with what linear layers give rounded as well.
        weight_bits: Of the weights that training rounds.

    Returns:
        The summary: what was smoothed, the training's record, or what the backend tried.

    Raises:
        EdgeDistilError: When training or the backend fails.
    """
    model = load_model(context.inputs["model"] / "model")
    splits = load_splits(context.inputs["data"], build.recipe.task)
    rows = check_rows(calibration_rows(build, asked, context.inputs["data"]))
    summary: dict[str, Any] = {}
    if asked.smooth is True or asked.compares_smoothing:
        model, done = smooth(model, rows)
        summary |= _smoothed(done)
    ranges = Ranges({})
    if asked.qat is not None:
        config = Config(asked.qat.ranges, weight_bits, outputs=outputs, skip=(_last_linear(model),))
        model, ranges, record = _train(build, asked, context, model, splits, rows, config)
        summary |= record
    elif asked.backend == "neural-compressor":
        ranges, tried = _neural_compressor(asked, model, splits, rows)
        summary |= tried
    save_ready(model, ranges, context.folder)
    return summary


def _smoothed(done: list[Smoothing]) -> dict[str, Any]:
    taken = [one for one in done if one.alpha is not None]
    return {"smoothed": len(taken), "smoothable": len(done), "smoothing": [asdict(one) for one in done]}


def _last_linear(model: EdgeBertHeadModel) -> str:
    """Returns the name of the layer that gives the logits, which static files leave in floating point."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)][-1]


def _train(
    build: Build,
    asked: Quantise,
    context: StageContext,
    model: EdgeBertHeadModel,
    splits: Splits,
    rows: EvaluationSet,
    config: Config,
) -> tuple[EdgeBertHeadModel, Ranges, dict[str, Any]]:
    assert asked.qat is not None  # noqa: S101 - the caller has looked
    made = quantise_aware(
        model,
        splits.training(splits.sets["train"]),
        asked.qat.as_distil,
        rows,
        context.scratch / "train",
        config=config,
        seed=build.recipe.seed,
        progress=context.progress,
        checkpoint_seconds=checkpoint_seconds(),
    )
    operands = _operands(made.model, rows, config, context.progress)
    return made.model, with_operands(made.ranges, operands), training_record(made.training)


def with_operands(trained: Ranges, operands: Mapping[str, Range]) -> Ranges:
    """Returns trained ranges with those of what attention's own products take.

    A query, key or value whose range was trained, as its layer's output, is the very tensor that such a product takes.

    Args:
        trained: Of layers' inputs, and where they were rounded of their outputs.
        operands: By the attention's name and `query`, `key`, `value` or `probabilities` behind a colon.
    """
    found = {name: trained.outputs.get(name.replace(":", "."), value) for name, value in operands.items()}
    return Ranges(trained.inputs, found, trained.outputs)


def _operands(
    model: EdgeBertHeadModel, rows: EvaluationSet, config: Config, progress: Progress
) -> dict[str, tuple[float, float]]:
    """Returns the ranges of what attention's own products take, which cost too little to be trained with."""
    prepared = prepare(model, replace(config, ranges="fixed", operands=True))
    calibrate(prepared, rows, progress)
    return dict(ranges_of(prepared).operands)


def _neural_compressor(
    asked: Quantise, model: EdgeBertHeadModel, splits: Splits, rows: EvaluationSet
) -> tuple[Ranges, dict[str, Any]]:
    from edgedistil.quantise import neural_compressor as backend

    skip = (_last_linear(model),)
    if asked.max_drop is None:
        algorithm = "kl" if asked.calibration == "entropy" else "minmax"
        return backend.calibrate_static(model, rows, algorithm=algorithm, skip=skip).ranges, {"algorithm": algorithm}
    judge = TaskJudge(splits.task, splits.sets["dev"], splits.labels, splits.answers.get("dev"))
    found = backend.autotune(model, rows, judge, max_drop=asked.max_drop, skip=skip)
    return found.ranges, {"tried": found.tried, "baseline": found.baseline}
