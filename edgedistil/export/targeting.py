"""Formats of small integers brought to a target: each leaves the fewest layers in higher precision that hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.formats import FORMATS
from edgedistil.export.all import ExportedFile, check_file, compared_rows, export_all
from edgedistil.export.calibration import check_rows
from edgedistil.export.forms import Form, settle_forms
from edgedistil.export.making import QUANTISERS, Calibrating, Job, source_of
from edgedistil.export.search.engine import NothingHoldsError, Search, search
from edgedistil.export.search.records import SearchLog, Trial, told_drop
from edgedistil.export.search.scheme import Meter, Scheme
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.progress import Progress


@dataclass(frozen=True)
class Target:
    """What quantised files may lose.

    Attributes:
        max_drop: Largest loss of the score against the fp32 file in the same runtime, as a share.
        meter: Makes the meter of a runtime, by its name.
        ship_anyway: Keep the nearest form of a format that misses it.
    """

    max_drop: float
    meter: Callable[[str], Meter]
    ship_anyway: bool = False


def export_to_target(
    model: EdgeBertHeadModel,
    formats: Sequence[str],
    sequence_lengths: Sequence[int],
    evaluation: EvaluationSet,
    reference: np.ndarray,
    folder: Path,
    target: Target,
    progress: Progress,
    calibrating: Calibrating,
) -> tuple[list[ExportedFile], SearchLog]:
    """Makes and checks files as `export_all` does, those of `QUANTISERS` within a target.

    What a file is held against is the fp32 file of the model itself, also where it is made from a ready one: what
    training with rounding costs counts.

    Args:
        model: The fp32 model.
        formats: Keys of `EXPORTERS`, one of `QUANTISERS` at least.
        sequence_lengths: TFLite's signatures, in tokens.
        evaluation: Real text as token ids.
        reference: The model's logits on it.
        folder: Where the files go, each at its format's usual path.
        target: What they may lose.
        progress: Where bars are shown.
        calibrating: How static formats are made.

    Returns:
        An outcome a format asked for, of those that miss the target a failure; and everything that was tried.

    Raises:
        NothingHoldsError: When no format reaches the target, and none is to be shipped anyway.
        UsageError: As `export_all`.
    """
    searched = [name for name in QUANTISERS if name in formats]
    sources = {source_of(name) for name in searched}
    if any(FORMATS[name].scheme.calibrated for name in searched):
        check_rows(calibrating.rows, evaluation)
    others = [*(name for name in formats if name not in searched), *sorted(sources.difference(formats))]
    outcomes = export_all(model, others, sequence_lengths, evaluation, reference, folder, progress)
    job = Job(model, sequence_lengths, folder, calibrating)
    job, forms = _settled(job, searched, evaluation, compared_rows(reference, evaluation), progress)
    meter = cache(target.meter)
    schemes = {name: _scheme(job, name, meter) for name in searched}
    found, failures = _search(schemes, target, folder, progress)
    for winner in found.winners:
        winner.path.replace(job.place(winner.trial.scheme))
    if target.ship_anyway:
        for name, nearest in failures.items():
            schemes[name].build(job.place(name), nearest.kept)
    missed = {} if target.ship_anyway else {name: _missed(nearest, target) for name, nearest in failures.items()}
    made = [
        ExportedFile(name, job.place(name), failure=missed[name])
        if name in missed
        else check_file(job, name, evaluation, reference)
        for name in searched
    ]
    outcomes += [replace(file, form=forms.get(file.format)) for file in made]
    for name in sources.difference(formats):
        job.place(name).unlink()
    job.tidy()
    return [file for file in outcomes if file.format in formats], found.log


def _settled(
    job: Job, searched: Sequence[str], evaluation: EvaluationSet, reference: np.ndarray, progress: Progress
) -> tuple[Job, Mapping[str, Form]]:
    """Decides each format's form once, by the whole file, whatever layers the search leaves in higher precision."""
    steps = 2 * len(job.two_formed(searched))
    if not steps:
        return job, {}
    with progress.bar("comparing with smoothed forms", steps) as bar:
        job, forms = settle_forms(job, searched, evaluation, reference, bar)
    # The search makes files of its own; this one may well miss the target.
    for name in forms:
        job.place(name).unlink()
    return job, forms


def _scheme(job: Job, name: str, meter: Callable[[str], Meter]) -> Scheme:
    maker, made = QUANTISERS[name], FORMATS[name]
    return Scheme(
        name=name,
        source=job.place(source_of(name)),
        build=partial(_build, job, name),
        layers=maker.layers(job.source(name)),
        meter=meter(made.runtime),
        cost=maker.rank,
        suffix=Path(made.path).suffix,
    )


def _build(job: Job, name: str, target: Path, keep: Sequence[str]) -> None:
    QUANTISERS[name].write(job, target, keep)


def _search(
    schemes: dict[str, Scheme], target: Target, folder: Path, progress: Progress
) -> tuple[Search, dict[str, Trial]]:
    """Returns what was found and, by format, the nearest trial of those that miss the target."""
    try:
        found = search(list(schemes.values()), target.max_drop, folder, every=True, progress=progress)
    except NothingHoldsError as error:
        if not target.ship_anyway:
            error.cure = f"{error.cure}, or set quantise.ship_anyway: true"
            raise
        found = Search(error.log, [])
    held = {winner.trial.scheme for winner in found.winners}
    return found, {name: nearest_of(found.log, name) for name in schemes if name not in held}


def nearest_of(log: SearchLog, scheme: str) -> Trial:
    """Returns the scored trial of a scheme that lost least, and of those the one with the fewest layers left."""
    scored = [trial for trial in log.trials if trial.scheme == scheme and trial.drop is not None]
    return min(scored, key=lambda trial: (trial.drop, len(trial.kept)))


def _missed(nearest: Trial, target: Target) -> str:
    return (
        f"{FORMATS[nearest.scheme].title}: it loses more than quantise.max_drop ({target.max_drop:g}); the nearest of "
        f"what was tried is {nearest.describe()}, {told_drop(nearest.drop or 0.0)} below fp32"
    )
