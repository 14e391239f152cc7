"""Every format that a recipe asks for, made in order and checked; a file that does not hold is named, not shipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.manifest import Parity
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.export.calibration import check_rows
from edgedistil.export.onnx import export_onnx
from edgedistil.export.onnx_fp16 import convert_onnx_fp16
from edgedistil.export.onnx_int4 import quantise_onnx_int4
from edgedistil.export.parity import ParityError, check_parity, first_rows
from edgedistil.export.quantise_onnx import quantise_onnx
from edgedistil.export.quantise_onnx_static import quantise_onnx_static
from edgedistil.export.quantise_tflite import quantise_tflite
from edgedistil.export.quantise_tflite_int4 import quantise_tflite_int4
from edgedistil.export.quantise_tflite_static import quantise_tflite_static
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
class Calibrating:
    """How the formats are made whose activations have ranges found beforehand.

    Attributes:
        rows: Real text of the training split; None when no such format is asked for.
        method: A key of `calibration.METHODS`; TFLite's files follow rules of their own.
        activations: `uint8` or `int8`, of the ONNX file.
        reduce_range: Keep the ONNX file's weights to 7 bits; None asks this machine's processor.
        folder: Where the ranges are kept as JSON; None forgets them.
    """

    rows: EvaluationSet | None = None
    method: str = "percentile"
    activations: str = "uint8"
    reduce_range: bool | None = None
    folder: Path | None = None

    def saved(self, name: str) -> Path | None:
        """Returns where a format's ranges are kept."""
        return None if self.folder is None else self.folder / f"calibration-{name}.json"


@dataclass(frozen=True)
class _Job:
    model: EdgeBertHeadModel
    sequence_lengths: Sequence[int]
    folder: Path
    calibrating: Calibrating = Calibrating()

    def place(self, name: str) -> Path:
        path = self.folder / FORMATS[name].path
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _static_onnx(job: _Job) -> None:
    using = job.calibrating
    quantise_onnx_static(
        job.place("onnx-fp32"),
        job.place("onnx-int8-static"),
        rows=using.rows,
        method=using.method,
        activations=using.activations,
        reduce_range=using.reduce_range,
        saved=using.saved("onnx"),
    )


def _static_tflite(job: _Job, name: str, activations: Literal["int8", "int16"]) -> None:
    using = job.calibrating
    quantise_tflite_static(
        job.place("tflite-fp32"),
        job.place(name),
        rows=check_rows(using.rows),
        activations=activations,
        calibration=using.saved("tflite"),
    )


EXPORTERS: dict[str, Callable[[_Job], None]] = {
    "onnx-fp32": lambda job: export_onnx(job.model, job.place("onnx-fp32")),
    "onnx-fp16": lambda job: convert_onnx_fp16(job.place("onnx-fp32"), job.place("onnx-fp16")),
    "onnx-int8": lambda job: quantise_onnx(job.place("onnx-fp32"), job.place("onnx-int8")),
    "onnx-int8-static": _static_onnx,
    "onnx-int4": lambda job: quantise_onnx_int4(job.place("onnx-fp32"), job.place("onnx-int4")),
    "tflite-fp32": lambda job: export_tflite(job.model, job.place("tflite-fp32"), job.sequence_lengths),
    "tflite-int8": lambda job: quantise_tflite(job.place("tflite-fp32"), job.place("tflite-int8")),
    "tflite-int8-static": lambda job: _static_tflite(job, "tflite-int8-static", "int8"),
    "tflite-int16-static": lambda job: _static_tflite(job, "tflite-int16-static", "int16"),
    "tflite-int4": lambda job: quantise_tflite_int4(job.place("tflite-fp32"), job.place("tflite-int4")),
}


def _source(name: str) -> str:
    """Returns the format that a format is made from, which is therefore made first."""
    return f"{name.partition('-')[0]}-fp32"


def export_all(
    model: EdgeBertHeadModel,
    formats: Sequence[str],
    sequence_lengths: Sequence[int],
    evaluation: EvaluationSet,
    reference: np.ndarray,
    folder: Path,
    progress: Progress | None = None,
    calibrating: Calibrating | None = None,
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
        calibrating: How static formats are made; needed for them.

    Returns:
        An outcome a format asked for, in the order of `EXPORTERS`.

    Raises:
        UsageError: When a format is unknown, or a static one has no text of the model's task to calibrate on.
    """
    for name in formats:
        if name not in EXPORTERS:
            raise UsageError(f"unknown format '{name}'", where="export.formats", cure=did_you_mean(name, EXPORTERS))
    using = calibrating or Calibrating()
    if any(FORMATS[name].scheme.calibrated for name in formats):
        check_rows(using.rows, evaluation)
    job = _Job(model, sequence_lengths, folder, using)
    needed = {*formats, *map(_source, formats)}
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
