"""Accuracy-driven quantisation: the cheapest scheme first, and the fewest layers given back that make it hold.

Layers are ranked by how far from fp32 the logits get when one alone is quantised. The other way, one alone given back
and all others quantised, ranks the same few first, but less surely, as what the others do hides it, and its files take
longer to make. Of SST-2's 6 x 384 student in int4, to lose nothing on dev, it left 9 of 13 layers in int8 in 102 s, not
8 in 73 s, and of the same student pruned 5 in 86 s, not 5 in 65 s.

Then the shortest beginning of the ranking that holds is found by bisection, which takes as many trials as the layers'
number has binary digits. Where more layers do not always score better, as on few examples, a shorter one may hold too;
what is returned was measured and holds in any case. No beginning is so long that the file saves next to nothing: where
none holds that is shorter, the layers are ranked anew by how far they move the logits for each byte that they save,
which leaves the large ones, such as the embeddings, quantised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedistil.errors import EdgeDistilError
from edgedistil.export.search.measuring import Bench
from edgedistil.export.search.records import Purpose, SearchLog, Trial, told_drop
from edgedistil.export.search.scheme import Scheme
from edgedistil.export.search.sizes import Sizes
from edgedistil.progress import Progress, SilentProgress

VERSION = 3
"""Goes up whenever a search of the same files may end elsewhere."""


@dataclass(frozen=True)
class Winner:
    """A file that holds.

    Attributes:
        trial: What was measured.
        path: The file.
    """

    trial: Trial
    path: Path


@dataclass(frozen=True)
class Search:
    """What a search has found.

    Attributes:
        log: Everything tried.
        winners: A file a scheme that holds, cheapest scheme first; never empty.
    """

    log: SearchLog
    winners: list[Winner]


class NothingHoldsError(EdgeDistilError):
    """No scheme that reaches its target, with the log of what was tried.

    Args:
        log: Everything tried, one trial at least.
    """

    def __init__(self, log: SearchLog) -> None:
        self.log = log
        self.nearest = nearest_of(log)
        if self.nearest is None:
            first = log.trials[0]
            what = f"no scheme gives a file that can ship; {first.describe()}: {first.fault}"
            cure = "ask for another scheme, or ship fp32"
        else:
            reference, drop = log.reference[self.nearest.scheme], self.nearest.drop or 0.0
            what = (
                f"no scheme keeps the score within {log.max_drop:g} of fp32's {reference:.4f}; the nearest is "
                f"{self.nearest.describe()}, {told_drop(drop)} below"
            )
            cure = f"allow {_rounded_up(drop):g}, ask for another scheme, or ship fp32"
        super().__init__(what, where="quantise.max_drop", cure=cure)


def nearest_of(log: SearchLog, scheme: str | None = None) -> Trial | None:
    """Returns the trial that lost least, of those the one with the fewest layers left; None where none could ship.

    Args:
        log: Everything tried.
        scheme: Of this scheme alone; None is of any.
    """
    return next(iter(by_nearness(log, scheme)), None)


def by_nearness(log: SearchLog, scheme: str | None = None) -> list[Trial]:
    """Returns the scored trials without a fault that is known, as `nearest_of` would choose them one after another."""
    able = [trial for trial in log.trials if trial.drop is not None and trial.fault is None]
    of_it = [trial for trial in able if scheme in (None, trial.scheme)]
    return sorted(of_it, key=lambda trial: (trial.drop, len(trial.kept)))


def _rounded_up(drop: float) -> float:
    return math.ceil(drop * 1e4 - 1e-6) / 1e4


def search(
    schemes: Sequence[Scheme],
    max_drop: float,
    folder: Path,
    *,
    every: bool = False,
    progress: Progress | None = None,
) -> Search:
    """Finds quantised files that lose at most so much.

    Args:
        schemes: What may be tried, one at least.
        max_drop: Largest loss of the score against the fp32 file in the same runtime, as a share: 0.005 is half a
            point of accuracy.
        folder: An existing folder, for the files.
        every: Find one file of every scheme that can hold, for `choose`, instead of stopping at the first.
        progress: Where the bar is shown.

    Returns:
        What was tried, and the files.

    Raises:
        NothingHoldsError: When no scheme reaches the target.
    """
    winners = []
    total = sum(_trials_of(scheme) for scheme in schemes)
    with (progress or SilentProgress()).bar("searching", total) as bar:
        bench = Bench(folder, max_drop, bar)
        for scheme in sorted(schemes, key=lambda one: one.cost):
            found = _search_scheme(bench, scheme)
            if found is not None:
                winners.append(Winner(found, bench.place(scheme)))
                if not every:
                    break
    if not winners:
        raise NothingHoldsError(bench.log())
    return Search(bench.log(), winners)


def _trials_of(scheme: Scheme) -> int:
    return 1 + len(scheme.layers) + len(scheme.layers).bit_length()


def _search_scheme(bench: Bench, scheme: Scheme) -> Trial | None:
    whole = bench.try_score(scheme, (), "whole")
    if whole.holds or len(scheme.layers) < 2:
        return whole if whole.holds else None
    alone = [bench.try_distance(scheme, layer) for layer in scheme.layers]
    distances = {str(trial.alone): math.inf if trial.fault else trial.distance or 0.0 for trial in alone}
    sizes = Sizes.of(scheme.source.stat().st_size, whole, alone)
    ranking = sorted(distances, key=lambda layer: -distances[layer])
    most = sizes.most(ranking)
    found = _fewest(bench, scheme, ranking[:most], "fewest")
    if found is not None or most == len(ranking) - 1:
        return found
    ranking = sizes.by_the_byte(distances)
    return _fewest(bench, scheme, ranking[: sizes.most(ranking)], "lightest")


def _fewest(bench: Bench, scheme: Scheme, ranking: Sequence[str], purpose: Purpose) -> Trial | None:
    """Returns the trial of the shortest beginning of a ranking that holds, or None; its file stays."""
    fails, holds, found = 0, len(ranking) + 1, None
    while holds - fails > 1:
        middle = (fails + holds) // 2
        trial = bench.try_score(scheme, ranking[:middle], purpose)
        if trial.holds:
            holds, found = middle, trial
        else:
            fails = middle
    return found
