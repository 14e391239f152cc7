"""Scores say which blocks go first and what it costs. A new one is a new file here with one `register`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from edgedistil.errors import UsageError, did_you_mean
from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.progress import Progress
from edgedistil.prune.blocks import Sublayer
from edgedistil.prune.curve import Curve
from edgedistil.prune.moments import Batch


@dataclass(frozen=True)
class Request:
    """What a score may look at.

    Attributes:
        model: The model to prune; a score leaves it as it is.
        batches: Calibration text: token ids and attention masks.
        sublayers: What can be pruned.
        damping: Share of the Hessian's mean diagonal that is added to it.
        progress: Where to report.
    """

    model: EdgeBertForSequenceClassification
    batches: Sequence[Batch]
    sublayers: Sequence[Sublayer]
    damping: float
    progress: Progress


@dataclass(frozen=True)
class Scored:
    """A sublayer's curve and what becomes of its output Linear.

    Attributes:
        curve: Order of removal and error at each level; errors of all sublayers share one unit.
        rebuild: From the columns kept to the new weight [rows, columns], zero elsewhere, and bias [rows].
    """

    curve: Curve
    rebuild: Callable[[Sequence[int]], tuple[Tensor, Tensor]]


Score = Callable[[Request], list[Scored]]
_SCORES: dict[str, Score] = {}


def register(name: str) -> Callable[[Score], Score]:
    """Returns a decorator that makes a score known by a name that recipes may use."""

    def add(score: Score) -> Score:
        _SCORES[name] = score
        return score

    return add


def score_names() -> list[str]:
    """Returns the names of all scores, sorted."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(_SCORES)


def get_score(name: str) -> Score:
    """Returns a score by its name.

    Raises:
        UsageError: When there is none of that name.
    """
    names = score_names()
    if name not in names:
        raise UsageError(f"no block score is called '{name}'", cure=did_you_mean(name, names))
    return _SCORES[name]
