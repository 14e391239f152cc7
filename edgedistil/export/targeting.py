"""Formats of small integers brought to a target: each leaves the fewest layers in higher precision that hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.formats import FORMATS
from edgedistil.export.all import ExportedFile, check_file, check_file_at, compared_rows, export_all
from edgedistil.export.calibration import check_rows
from edgedistil.export.forms import Form, settle_forms
from edgedistil.export.making import QUANTISERS, Calibrating, Job, source_of
from edgedistil.export.parity import ParityError
from edgedistil.export.search.engine import NothingHoldsError, Search, by_nearness, nearest_of, search
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
        runtimes: What scores a format's files, where it is not the format's usual runtime.
    """

    max_drop: float
    meter: Callable[[str], Meter]
    ship_anyway: bool = False
    runtimes: Mapping[str, str] = field(default_factory=dict)

    def runtime_of(self, name: str) -> str:
        """Returns what scores a format's files."""
        return self.runtimes.get(name, FORMATS[name].runtime)


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
    schemes = {
        name: replace(
            _scheme(job, name, meter(target.runtime_of(name))), fault=partial(_fault, job, name, evaluation, reference)
        )
        for name in searched
    }
    found, failures = _search(schemes, target, folder, progress)
    for winner in found.winners:
        winner.path.replace(job.place(winner.trial.scheme))
    missed = {}
    for name, nearest in failures.items():
        if nearest is not None and target.ship_anyway:
            _write_nearest(schemes[name], found.log, job.place(name))
        else:
            missed[name] = _missed(name, nearest, found.log)
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
    log = found.log.model_copy(
        update={"runtimes": {name: target.runtimes[name] for name in schemes if name in target.runtimes}}
    )
    return [file for file in outcomes if file.format in formats], log


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


def _scheme(job: Job, name: str, meter: Meter) -> Scheme:
    maker = QUANTISERS[name]
    return Scheme(
        name=name,
        source=job.place(source_of(name)),
        build=partial(_build, job, name),
        layers=maker.layers(job.source(name)),
        meter=meter,
        cost=maker.rank,
        suffix=Path(FORMATS[name].path).suffix,
    )


def _build(job: Job, name: str, target: Path, keep: Sequence[str]) -> None:
    QUANTISERS[name].write(job, target, keep)


def _fault(job: Job, name: str, evaluation: EvaluationSet, reference: np.ndarray, path: Path) -> str | None:
    """Returns why a file that keeps the score would not pass as this format all the same, or None."""
    try:
        check_file_at(path, job, name, evaluation, reference)
    except ParityError as error:
        return error.what
    return None


def _search(
    schemes: dict[str, Scheme], target: Target, folder: Path, progress: Progress
) -> tuple[Search, dict[str, Trial | None]]:
    """Returns what was found and, by format, the nearest trial of those that miss the target; None where none ran."""
    try:
        found = search(list(schemes.values()), target.max_drop, folder, every=True, progress=progress)
    except NothingHoldsError as error:
        if not target.ship_anyway:
            if error.nearest is not None:
                error.cure = f"{error.cure}, or set quantise.ship_anyway: true"
            raise
        found = Search(error.log, [])
    held = {winner.trial.scheme for winner in found.winners}
    return found, {name: nearest_of(found.log, name) for name in schemes if name not in held}


def _write_nearest(scheme: Scheme, log: SearchLog, path: Path) -> None:
    """Writes the file of the nearest trial that can ship, of a scheme with one trial at least; else the nearest's."""
    trials = by_nearness(log, scheme.name)
    for trial in trials:
        scheme.build(path, trial.kept)
        # Of files that lose too much the search has not asked whether they may ship.
        if scheme.fault(path) is None:
            return
    scheme.build(path, trials[0].kept)


def _missed(name: str, nearest: Trial | None, log: SearchLog) -> str:
    title = FORMATS[name].title
    if nearest is None:
        return f"{title}: {next(trial.fault for trial in log.trials if trial.scheme == name)}"
    return (
        f"{title}: it loses more than quantise.max_drop ({log.max_drop:g}); the nearest of what was tried is "
        f"{nearest.describe()}, {told_drop(nearest.drop or 0.0)} below fp32"
    )
