"""Every format that a recipe asks for, made in order and checked; a file that does not hold is named, not shipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.manifest import Parity
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.export.calibration import check_rows
from edgedistil.export.making import EXPORTERS, Calibrating, Job, Ready, source_of
from edgedistil.export.parity import ParityError, check_parity, first_rows
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.progress import Progress, SilentProgress

__all__ = ["EXPORTERS", "Calibrating", "ExportedFile", "Ready", "check_file", "export_all"]

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
        EdgeDistilError: When a quantiser fails.
    """
    for name in formats:
        if name not in EXPORTERS:
            raise UsageError(f"unknown format '{name}'", where="export.formats", cure=did_you_mean(name, EXPORTERS))
    using = calibrating or Calibrating()
    if any(FORMATS[name].scheme.calibrated for name in formats):
        check_rows(using.rows, evaluation)
    job = Job(model, sequence_lengths, folder, using)
    needed = {*formats, *(source_of(name) for name in formats if not _from_ready(job, name))}
    order = [name for name in EXPORTERS if name in needed]
    outcomes = []
    with (progress or SilentProgress()).bar("exporting", 2 * len(order)) as bar:
        for name in order:
            bar.describe(f"making {FORMATS[name].title}")
            EXPORTERS[name](job)
            bar.advance()
            if name in formats:
                bar.describe(f"checking {FORMATS[name].title}")
                outcomes.append(check_file(job, name, evaluation, reference))
            bar.advance()
    for name in needed.difference(formats):
        job.place(name).unlink()
    job.tidy()
    return outcomes


def check_file(job: Job, name: str, evaluation: EvaluationSet, reference: np.ndarray) -> ExportedFile:
    """Holds a file that was made against the PyTorch model that it was made from.

    Args:
        job: What it was made from.
        name: Its format.
        evaluation: Real text as token ids.
        reference: The model's logits on it.
    """
    ready = job.calibrating.ready
    whole = ready.reference if ready and _from_ready(job, name) else reference
    rows = first_rows(whole, evaluation, PARITY_EXAMPLES, PARITY_TOKENS)
    path = job.place(name)
    try:
        return ExportedFile(name, path, parity=check_parity(path, name, rows, evaluation))
    except ParityError as error:
        return ExportedFile(name, path, failure=error.line())


def _from_ready(job: Job, name: str) -> bool:
    return job.calibrating.ready is not None and FORMATS[name].scheme.calibrated
