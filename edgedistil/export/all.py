"""Every format that a recipe asks for, made in order and checked; a file that does not hold is named, not shipped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.manifest import Parity
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.export.calibration import check_rows
from edgedistil.export.forms import Form, settle_forms
from edgedistil.export.making import EXPORTERS, QUANTISERS, Calibrating, Job, Ready, source_of
from edgedistil.export.padding import check_padded
from edgedistil.export.parity import ParityError, check_parity, first_rows
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.progress import Bar, Progress, SilentProgress

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
        form: How far it and the same from a smoothed model are from the model; None where there was no choice.
        ready: Whether it was made from the model that is ready for 8 bits.
    """

    format: str
    path: Path
    parity: Parity | None = None
    failure: str | None = None
    form: Form | None = None
    ready: bool = False


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
    needed = {*formats, *(source_of(name) for name in formats if job.needs_source(name))}
    order = [name for name in EXPORTERS if name in needed]
    check = partial(check_file, evaluation=evaluation, reference=reference)
    steps = 2 * len(order) + len(job.two_formed(formats))
    with (progress or SilentProgress()).bar("exporting", steps) as bar:
        outcomes = _make(job, [name for name in order if name not in QUANTISERS], formats, check, bar)
        job, forms = settle_forms(job, formats, evaluation, compared_rows(reference, evaluation), bar)
        outcomes |= _make(job, [name for name in order if name in QUANTISERS], formats, check, bar, there=forms)
    for name in needed.difference(formats):
        job.place(name).unlink()
    job.tidy()
    return [replace(outcomes[name], form=forms.get(name)) for name in order if name in formats]


def _make(
    job: Job,
    order: Sequence[str],
    asked: Sequence[str],
    check: Callable[[Job, str], ExportedFile],
    bar: Bar,
    there: Collection[str] = (),
) -> dict[str, ExportedFile]:
    """Makes formats in their order but those that are there; returns the outcomes of those that are asked for."""
    outcomes = {}
    for name in order:
        if name not in there:
            bar.describe(f"making {FORMATS[name].title}")
            EXPORTERS[name](job)
            bar.advance()
        if name in asked:
            bar.describe(f"checking {FORMATS[name].title}")
            outcomes[name] = check(job, name)
        bar.advance()
    return outcomes


def compared_rows(reference: np.ndarray, evaluation: EvaluationSet) -> np.ndarray:
    """Returns the reference of those of a set's rows on which files are compared with their model."""
    return first_rows(reference, evaluation, PARITY_EXAMPLES, PARITY_TOKENS)


def check_file(job: Job, name: str, evaluation: EvaluationSet, reference: np.ndarray) -> ExportedFile:
    """Holds a file that was made against the PyTorch model that it was made from.

    Args:
        job: What it was made from.
        name: Its format.
        evaluation: Real text as token ids.
        reference: The model's logits on it.
    """
    path = job.place(name)
    made = ExportedFile(name, path, ready=job.ready_for(name) is not None)
    try:
        return replace(made, parity=check_file_at(path, job, name, evaluation, reference))
    except ParityError as error:
        return replace(made, failure=error.line())


def check_file_at(path: Path, job: Job, name: str, evaluation: EvaluationSet, reference: np.ndarray) -> Parity:
    """Holds a file, wherever it lies, against the PyTorch model that it was made from.

    Args:
        path: The file.
        job: What it was made from.
        name: Its format.
        evaluation: Real text as token ids.
        reference: The model's logits on it.

    Raises:
        ParityError: As `check_parity` and `check_padded`.
    """
    ready = job.ready_for(name)
    rows = compared_rows(ready.reference if ready else reference, evaluation)
    parity = check_parity(path, name, rows, evaluation)
    model = ready.model if ready else job.model
    check_padded(path, name, rows, evaluation, model.config.max_position_embeddings)
    return parity
