"""Words hidden for a model to fill in: whole words or single pieces (Devlin et al. 2019, section 3.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from tokenizers import Tokenizer

from edgedistil.bench.runner.evaluation import NOT_SCORED
from edgedistil.distil.batches import Batch
from edgedistil.errors import UsageError

_SPECIAL = re.compile(r"\[(PAD|UNK|CLS|SEP|MASK|unused\d+)\]")
_CONTINUES = "##"
_MASKED, _REPLACED = 0.8, 0.1


@dataclass(frozen=True)
class Masking:
    """Turns rows of text into rows of words to be filled in.

    What is hidden follows from the seed, the epoch and the row's number alone: neither how a step is shared out nor a
    restart changes it.

    Attributes:
        mask_id: Id of the mask token.
        words: Ids that may stand in for another word, [words]; special tokens are none.
        may_hide: By token id, whether it may be hidden, [vocabulary].
        continues: By token id, whether it goes on with the word before, [vocabulary].
        share: Share of a row's tokens to be predicted; at least one.
        unit: Whether all pieces of a word are hidden together.
        seed: Of the choice.
    """

    mask_id: int
    words: np.ndarray
    may_hide: np.ndarray
    continues: np.ndarray
    share: float = 0.15
    unit: Literal["whole-word", "token"] = "whole-word"
    seed: int = 0

    @classmethod
    def of(cls, tokeniser: Tokenizer, share: float, unit: Literal["whole-word", "token"], seed: int) -> Masking:
        """Returns the masking of a WordPiece vocabulary.

        Raises:
            UsageError: When the vocabulary has no mask token.
        """
        vocabulary = tokeniser.get_vocab(with_added_tokens=True)
        if "[MASK]" not in vocabulary:
            raise UsageError("the tokeniser has no token [MASK]", cure="choose a teacher whose tokeniser has one")
        size = max(vocabulary.values()) + 1
        may_hide, continues = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
        for piece, number in vocabulary.items():
            may_hide[number] = not _SPECIAL.fullmatch(piece)
            continues[number] = piece.startswith(_CONTINUES)
        return cls(vocabulary["[MASK]"], np.flatnonzero(may_hide), may_hide, continues, share, unit, seed)

    def __call__(self, batch: Batch, epoch: int) -> Batch:
        """Returns the batch with words hidden; its labels are the words, and -100 everywhere else."""
        input_ids = batch.input_ids.numpy().copy()
        labels = np.full_like(input_ids, NOT_SCORED)
        for row, index in enumerate(batch.indices):
            generator = np.random.default_rng([self.seed, epoch, int(index)])
            chosen = self._choose(input_ids[row], generator)
            labels[row, chosen] = input_ids[row, chosen]
            input_ids[row, chosen] = self._hidden(input_ids[row, chosen], generator)
        return replace(batch, input_ids=torch.from_numpy(input_ids), labels=torch.from_numpy(labels), kind="masked")

    def _choose(self, ids: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns the places of one row that are to be predicted."""
        places = np.flatnonzero(self.may_hide[ids])
        if not len(places):
            return places
        # A piece goes on with a word only where it stands right behind it.
        begins = np.ones(len(places), dtype=bool)
        if self.unit == "whole-word":
            begins[1:] = ~(self.continues[ids[places[1:]]] & (np.diff(places) == 1))
        word = np.cumsum(begins) - 1
        order = generator.permutation(word[-1] + 1)
        sizes = np.bincount(word)[order]
        wanted = max(1, round(self.share * len(places)))
        # Words are taken while they fit; the first is taken whatever its length.
        taken = order[(np.cumsum(sizes) <= wanted) | (np.arange(len(order)) == 0)]
        return places[np.isin(word, taken)]

    def _hidden(self, words: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns what the model sees: of ten words eight masks, one other word, one as it was."""
        draw = generator.random(len(words))
        others = generator.choice(self.words, len(words))
        return np.where(draw < _MASKED, self.mask_id, np.where(draw < _MASKED + _REPLACED, others, words))
