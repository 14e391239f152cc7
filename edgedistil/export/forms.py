"""Of a file's two forms, from the model as it is and from its smoothed twin, the one that is nearer to the model.

Whether smoothing helps is a student's own matter, and a dev score of some hundred texts does not show it: half a point
either way is chance. The logits show it. They are held against fp32's on the texts that parity is checked on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

import numpy as np

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.formats import FORMATS
from edgedistil.export.making import QUANTISERS, Job
from edgedistil.export.parity import ParityError, logits_of, rows_of
from edgedistil.progress import Bar

LEAST_GAIN = 0.1
"""Share of the distance that smoothing must take away: its multiplications cost time, if little."""


@dataclass(frozen=True)
class Form:
    """How far both forms of a format are from fp32.

    Attributes:
        plain: Mean difference of a logit from the model's, of the file that is made from the model itself; infinite
            where it cannot be run.
        smoothed: The same of the file from the smoothed model.
    """

    plain: float
    smoothed: float

    @property
    def smooth(self) -> bool:
        """Returns whether the smoothed file is the nearer, by enough."""
        return self.smoothed < (1.0 - LEAST_GAIN) * self.plain

    def as_json(self) -> dict[str, float | bool | None]:
        """Returns it as a JSON-able value, in which a file that cannot be run has no distance."""
        distances = {"plain": self.plain, "smoothed": self.smoothed}
        return {name: one if isfinite(one) else None for name, one in distances.items()} | {"smooth": self.smooth}


def settle_forms(
    job: Job,
    formats: Sequence[str],
    evaluation: EvaluationSet,
    reference: np.ndarray,
    bar: Bar,
) -> tuple[Job, Mapping[str, Form]]:
    """Decides what each format is made from, where a ready model is for those alone that it brings nearer.

    Both of its files are made for that; the nearer one is left at its usual place.

    Args:
        job: What files are made from; the fp32 ones that the formats need are there.
        formats: Those asked for.
        evaluation: Real text as token ids.
        reference: The model's logits on its first rows, those to be compared on.
        bar: Told what is compared, and advanced twice a format that has two forms.

    Returns:
        The job, which makes each file in its nearer form; and what was measured, by format.

    Raises:
        EdgeDistilError: When a quantiser fails.
    """
    two_formed = job.two_formed(formats)
    without, found = replace(job, plain=frozenset(two_formed)), {}
    for name in two_formed:
        apart, files = [], []
        for number, one in enumerate((without, job)):
            bar.describe(f"comparing {FORMATS[name].title} with its smoothed form")
            files.append(job.folder / f".form-{number}{Path(FORMATS[name].path).suffix}")
            apart.append(_distance(one, name, files[-1], evaluation, reference))
            bar.advance()
        found[name] = Form(*apart)
        nearer, other = reversed(files) if found[name].smooth else files
        nearer.replace(job.place(name))
        other.unlink()
    return replace(job, plain=frozenset(name for name, form in found.items() if not form.smooth)), found


def _distance(job: Job, name: str, path: Path, evaluation: EvaluationSet, reference: np.ndarray) -> float:
    QUANTISERS[name].write(job, path, ())
    try:
        apart = np.abs(logits_of(path, name, evaluation, rows_of(reference, evaluation)) - reference).mean()
    except ParityError:
        return float("inf")
    return float(apart) if np.isfinite(apart) else float("inf")
