"""What each layer saves: how many may be left in higher precision before nothing worth having is left of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from edgedistil.export.search.records import Trial

MOST_LEFT = 0.9
"""Of the fp32 file's bytes: one that saves less than a tenth of them is the same file by another name. Left to a score
on 131 questions alone, a search once gave back 13 of 14 layers, and shipped a file larger than the fp32 one."""


@dataclass(frozen=True)
class Sizes:
    """What a scheme saves, layer by layer.

    Attributes:
        source: Bytes of the fp32 file.
        unquantised: Bytes of the scheme's file with every layer in higher precision, which need not be fp32.
        saved: Bytes that quantising a layer saves, by its name.
    """

    source: int
    unquantised: float
    saved: Mapping[str, float]

    @classmethod
    def of(cls, source: int, whole: Trial, alone: Sequence[Trial]) -> Sizes:
        """Works them out from files that a search makes in any case.

        Of n layers, the n files with one quantised are together n unquantised ones less all that is saved, which the
        whole file says too: n - 1 unquantised ones and the whole one.

        Args:
            source: Bytes of the fp32 file.
            whole: The file with every layer quantised.
            alone: A file a layer, with that one quantised alone; two at least.
        """
        unquantised = (sum(trial.size_bytes for trial in alone) - whole.size_bytes) / (len(alone) - 1)
        return cls(source, unquantised, {str(trial.alone): unquantised - trial.size_bytes for trial in alone})

    def most(self, ranking: Sequence[str]) -> int:
        """Returns how many layers from the beginning of a ranking may be left in higher precision; never all."""
        # Saved by the rest of the ranking, from its last layer to its first.
        rests = accumulate(self.saved[layer] for layer in reversed(ranking))
        small = (count for count, rest in enumerate(rests, 1) if self.unquantised - rest <= MOST_LEFT * self.source)
        return len(ranking) - next(small, len(ranking))

    def by_the_byte(self, distances: Mapping[str, float]) -> list[str]:
        """Returns the layers, that one first whose quantisation moves the logits furthest for each byte it saves.

        Args:
            distances: How far each layer alone moves the logits.
        """
        return sorted(distances, key=lambda layer: -distances[layer] / max(self.saved[layer], 1.0))
