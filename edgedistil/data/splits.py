"""Which row goes where: judged texts kept out of training, dev and test splits set aside. Numbers alone, no texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgedistil.tasks import Task

IdArray = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Split:
    """Rows of one source's split.

    Attributes:
        source: The split that they were read from.
        rows: Their numbers in it, rising, [n].
        values: Each row's `Example.value`, [n].
        guards: Hash of the text that must not be both trained on and judged, [n].
        groups: Hash of what must not stand on two sides of a split made here, [n].
    """

    source: str
    rows: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    guards: IdArray
    groups: IdArray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Split:
        """Returns some of the rows."""
        return replace(
            self,
            rows=self.rows[chosen],
            values=self.values[chosen],
            guards=self.guards[chosen],
            groups=self.groups[chosen],
        )


def without(train: Split, others: Sequence[Split]) -> tuple[Split, int]:
    """Returns the training rows whose text stands in no other split, and how many rows were left out."""
    if not others:
        return train, 0
    kept = ~_among(train.guards, np.concatenate([split.guards for split in others]))
    leaked = int(len(train) - kept.sum())
    return (train.take(kept), leaked) if leaked else (train, 0)


def set_aside(train: Split, share: float, seed: int, task: Task, *, grouped: bool) -> tuple[Split, Split]:
    """Splits off part of the training rows; a repeated text, or with `grouped` a whole group, stays on one side.

    Every stratum keeps a text for training, unless groups are kept whole.

    Args:
        train: The rows.
        share: Part of the distinct texts of each stratum, or of the rows where they come in groups.
        seed: Fixes which.
        task: Says which rows are alike.
        grouped: Whether groups are kept whole, rather than strata kept in proportion.
    """
    generator = np.random.default_rng(seed)
    chosen = _groups(train, share, generator) if grouped else _stratified(train, share, generator, task)
    return train.take(~chosen), train.take(chosen)


def limited(train: Split, limit: int | None, seed: int) -> Split:
    """Returns the first so many rows after a fixed shuffle, in their old order."""
    if not limit or limit >= len(train):
        return train
    return train.take(np.sort(np.random.default_rng(seed).permutation(len(train))[:limit]))


def _stratified(train: Split, share: float, generator: np.random.Generator, task: Task) -> npt.NDArray[np.bool_]:
    strata = task.strata(train.values)
    chosen = []
    for stratum in np.unique(strata):
        unique = np.unique(train.guards[strata == stratum])
        number = min(max(1, round(share * len(unique))), len(unique) - 1)
        chosen.append(generator.permutation(unique)[:number])
    taken = _among(train.guards, np.concatenate(chosen))
    for stratum in np.unique(strata[taken]):
        # A text of two classes may be the last of one, and set aside for the other.
        if taken[strata == stratum].all():
            taken &= train.guards != train.guards[strata == stratum][0]
    return taken


def _groups(train: Split, share: float, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    names, counts = np.unique(train.groups, return_counts=True)
    order = generator.permutation(len(names))
    rows = np.cumsum(counts[order])
    wanted = share * len(train)
    # As many groups as come nearest to the share, at least one on either side; of one group none can be set aside.
    number = int(np.argmin(np.abs(rows - wanted))) + 1
    return _among(train.groups, names[order[: min(number, len(names) - 1)]])


def _among(values: IdArray, wanted: IdArray) -> npt.NDArray[np.bool_]:
    """Tells which values are wanted; unlike `np.isin`, without a sorted copy of both."""
    if not len(wanted):
        return np.zeros(len(values), dtype=np.bool_)
    ranked = np.sort(wanted)
    places = np.minimum(np.searchsorted(ranked, values), len(ranked) - 1)
    return np.asarray(ranked[places] == values)
