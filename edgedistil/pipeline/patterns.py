"""What Li et al.'s pattern would bring a finished model: in a bundle's files, or in those of a model's folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedistil.bench.latency import Setting
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.scores import Examples
from edgedistil.bundle.paths import MANIFEST_NAME
from edgedistil.bundle.read import Bundle, open_bundle
from edgedistil.devices.profile import Device
from edgedistil.distil.score import score_model
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.models import load_model
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.profiling.files import export_as
from edgedistil.profiling.measure import measure_models
from edgedistil.profiling.runtimes import check_runtime
from edgedistil.profiling.table import shape_of
from edgedistil.progress import Progress
from edgedistil.prune.pattern import Partition, PatternResult, try_pattern, with_pattern
from edgedistil.recipe.schema import ALL_FORMATS
from edgedistil.tasks import get_task
from edgedistil.tasks.answers import Answers

FORMATS = ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8")


@dataclass(frozen=True)
class PatternScore:
    """The model's score on the bundle's own examples, before and after the pattern, untrained.

    Attributes:
        metric: The task's headline metric.
        dense: Of the model as it is.
        pattern: With the pattern's weights set to 0.
    """

    metric: str
    dense: float
    pattern: float


@dataclass(frozen=True)
class PatternReport:
    """What a pattern brings.

    Attributes:
        results: One a format.
        score: None where the source has no examples to score on.
    """

    results: list[PatternResult]
    score: PatternScore | None


def report_pattern(
    source: Path,
    partition: Partition,
    sparsity: float,
    formats: Sequence[str],
    device: Device,
    threads: int,
    sequence_length: int,
    progress: Progress,
) -> PatternReport:
    """Sets a pattern's weights to 0 and measures what that brings, in files made for it.

    Args:
        source: A bundle with its PyTorch weights, or a model's folder.
        partition: How matrices are cut.
        sparsity: Share of each block's rows or columns that go.
        formats: Keys of the bundle's formats.
        device: Where files are measured.
        threads: Threads an inference may use.
        sequence_length: Tokens an inference.
        progress: Where to report.

    Raises:
        UsageError: When there is no such folder or model, the bundle was changed, a format is unknown, or the device
            cannot run it.
    """
    for name in formats:
        if name not in ALL_FORMATS:
            raise UsageError(f"unknown format '{name}'", where="--format", cure=did_you_mean(name, ALL_FORMATS))
        check_runtime(device.profile, name)
    if not source.is_dir():
        raise UsageError("no such folder", where=str(source), cure="give a bundle or a model's folder")
    bundle = open_bundle(source) if (source / MANIFEST_NAME).is_file() else None
    model = load_model(_weights(source))
    longest = model.config.max_position_embeddings
    if sequence_length > longest:
        raise UsageError(f"the model takes at most {longest} tokens", where="--sequence-length", cure="give fewer")
    settings = {
        name: Setting(format=name, threads=threads, sequence_length=sequence_length, shape=shape_of(model.config))
        for name in formats
    }
    with tempfile.TemporaryDirectory() as folder:
        results = try_pattern(
            model,
            partition,
            sparsity,
            formats,
            lambda each, name, path: export_as(each, settings[name], path),
            lambda models, name: measure_models(device, settings[name], models, progress),
            Path(folder),
        )
    return PatternReport(results, _score(bundle, model, with_pattern(model, partition, sparsity), progress))


def _weights(source: Path) -> Path:
    """Returns where a bundle has its PyTorch weights; any other folder is itself."""
    return source / "pytorch" if (source / "pytorch" / "config.json").is_file() else source


def _score(
    bundle: Bundle | None, dense: EdgeBertHeadModel, sparse: EdgeBertHeadModel, progress: Progress
) -> PatternScore | None:
    examples = Examples.of(bundle) if bundle else None
    if examples is None:
        return None
    tokens, task = EvaluationSet.load(examples.tokens), get_task(examples.task, examples.labels)
    answers = Answers.load(examples.answers) if examples.answers else None
    dense_score, sparse_score = (
        score_model(each, tokens, task, examples.labels, answers, progress)[task.metric] for each in (dense, sparse)
    )
    return PatternScore(task.metric, dense_score, sparse_score)
