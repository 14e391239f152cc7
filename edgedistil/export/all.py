"""Every format that a recipe asks for, made in order and checked; a file that does not hold is named, not shipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.manifest import Parity
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.export.onnx import export_onnx
from edgedistil.export.parity import ParityError, check_parity, first_rows
from edgedistil.export.quantise_onnx import quantise_onnx
from edgedistil.export.quantise_tflite import quantise_tflite
from edgedistil.export.tflite import export_tflite
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.progress import Progress, SilentProgress

PARITY_EXAMPLES = 256
PARITY_TOKENS = 16_384
"""Long texts take long: fewer of them are compared."""


@dataclass(frozen=True)
class ExportedFile:
    """One format's outcome.

    Attributes:
        format: Key of the bundle's formats.
        path: The file.
        parity: Its differences from PyTorch, when it holds.
        failure: Why it must not be shipped, in one line; None when it holds.
    """

    format: str
    path: Path
    parity: Parity | None = None
    failure: str | None = None


@dataclass(frozen=True)
class _Job:
    model: EdgeBertHeadModel
    sequence_lengths: Sequence[int]
    folder: Path

    def place(self, name: str) -> Path:
        path = self.folder / FORMATS[name].path
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


# An int8 file is made from its fp32 one, which is therefore made first.
_SOURCE = {"onnx-int8": "onnx-fp32", "tflite-int8": "tflite-fp32"}

EXPORTERS: dict[str, Callable[[_Job], None]] = {
    "onnx-fp32": lambda job: export_onnx(job.model, job.place("onnx-fp32")),
    "onnx-int8": lambda job: quantise_onnx(job.place("onnx-fp32"), job.place("onnx-int8")),
    "tflite-fp32": lambda job: export_tflite(job.model, job.place("tflite-fp32"), job.sequence_lengths),
    "tflite-int8": lambda job: quantise_tflite(job.place("tflite-fp32"), job.place("tflite-int8")),
}


def export_all(
    model: EdgeBertHeadModel,
    formats: Sequence[str],
    sequence_lengths: Sequence[int],
    evaluation: EvaluationSet,
    reference: np.ndarray,
    folder: Path,
    progress: Progress | None = None,
) -> list[ExportedFile]:
    """Makes and checks files.

    Args:
        model: The fp32 model.
        formats: Keys of `EXPORTERS`.
        sequence_lengths: TFLite's signatures, in tokens.
        evaluation: Real text as token ids.
        reference: The model's logits on it, as `predict_logits` gives them: [rows, labels], or for tags and spans
            [tokens, labels].
        folder: Where the files go, each at its format's usual path.
        progress: Where the bar is shown.

    Returns:
        An outcome a format asked for, in the order of `EXPORTERS`.

    Raises:
        UsageError: When a format is unknown.
    """
    for name in formats:
        if name not in EXPORTERS:
            raise UsageError(f"unknown format '{name}'", where="export.formats", cure=did_you_mean(name, EXPORTERS))
    job = _Job(model, sequence_lengths, folder)
    needed = {*formats, *(_SOURCE[name] for name in formats if name in _SOURCE)}
    order = [name for name in EXPORTERS if name in needed]
    outcomes = []
    reference = first_rows(reference, evaluation, PARITY_EXAMPLES, PARITY_TOKENS)
    with (progress or SilentProgress()).bar("exporting", 2 * len(order)) as bar:
        for name in order:
            bar.describe(f"making {FORMATS[name].title}")
            EXPORTERS[name](job)
            bar.advance()
            if name in formats:
                bar.describe(f"checking {FORMATS[name].title}")
                outcomes.append(_checked(job, name, evaluation, reference))
            bar.advance()
    for name in needed.difference(formats):
        job.place(name).unlink()
    return outcomes


def _checked(job: _Job, name: str, evaluation: EvaluationSet, reference: np.ndarray) -> ExportedFile:
    path = job.place(name)
    try:
        return ExportedFile(name, path, parity=check_parity(path, name, reference, evaluation))
    except ParityError as error:
        return ExportedFile(name, path, failure=error.line())
