"""The evaluation set as token ids prepared on the host, so that a device needs no tokenizer to be scored."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from .errors import RunnerError

IntArray = npt.NDArray[np.int64]

_PAD_ID = 0
_ARRAYS = ("input_ids", "offsets", "labels", "ids")


class EvaluationSet:
    """Labelled examples as ragged token ids.

    Args:
        input_ids: Integers [total tokens], the examples one after the other, special tokens included.
        offsets: Integers [n + 1]; example i is `input_ids[offsets[i]:offsets[i + 1]]`.
        labels: Integers [n], the reference labels.
        ids: Strings [n], the hashed example ids.

    Raises:
        RunnerError: When the arrays do not fit one another, or an example is empty.
    """

    def __init__(
        self, input_ids: npt.ArrayLike, offsets: npt.ArrayLike, labels: npt.ArrayLike, ids: npt.ArrayLike
    ) -> None:
        self.input_ids = np.asarray(input_ids, dtype=np.int32)
        self.offsets = np.asarray(offsets, dtype=np.int64)
        self.labels = np.asarray(labels, dtype=np.int64)
        self.ids = np.asarray(ids, dtype=np.str_)
        self._check()

    def _check(self) -> None:
        count = len(self.labels)
        if count == 0:
            raise RunnerError("evaluation set has no examples")
        if len(self.offsets) != count + 1 or len(self.ids) != count:
            raise RunnerError(
                f"evaluation set is inconsistent: {count} labels, {len(self.ids)} ids, {len(self.offsets)} offsets"
            )
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.input_ids) or np.any(np.diff(self.offsets) < 1):
            raise RunnerError("evaluation set is inconsistent: offsets do not cut the token ids into examples")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> IntArray:
        """Tokens an example, int64 [n]."""
        return np.diff(self.offsets)

    @classmethod
    def load(cls, path: Union[str, os.PathLike[str]]) -> EvaluationSet:
        """Reads a set written by `save`; nothing in the file is ever unpickled.

        Raises:
            RunnerError: When the file is absent, is no such set or is inconsistent.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                return cls(*(archive[name] for name in _ARRAYS))
        except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
            raise RunnerError(f"{path}: not a readable evaluation set ({error})") from error

    def save(self, path: Union[str, os.PathLike[str]]) -> None:
        """Writes the set as one compressed `.npz` under exactly this name."""
        with Path(path).open("wb") as stream:
            np.savez_compressed(
                stream, input_ids=self.input_ids, offsets=self.offsets, labels=self.labels, ids=self.ids
            )

    def tokens(self, index: int) -> IntArray:
        """Returns the token ids of one example, int64 [length]."""
        return self.input_ids[self.offsets[index] : self.offsets[index + 1]].astype(np.int64)

    def batch(self, indices: Sequence[int], length: int) -> Tuple[IntArray, IntArray]:
        """Pads examples with id 0 on the right.

        Args:
            indices: The examples wanted, [b].
            length: Tokens a row; a longer example is cut to it.

        Returns:
            `input_ids` and `attention_mask`, int64 [b, length].
        """
        input_ids = np.full((len(indices), length), _PAD_ID, dtype=np.int64)
        attention_mask = np.zeros((len(indices), length), dtype=np.int64)
        for row, index in enumerate(indices):
            tokens = self.tokens(index)[:length]
            input_ids[row, : len(tokens)] = tokens
            attention_mask[row, : len(tokens)] = 1
        return input_ids, attention_mask

    def packed(self, length: int, rows: int, seed: int = 0) -> IntArray:
        """Fills rows with real text to the last token, for timing at exactly one length.

        Each row starts where a random example starts, runs on through the examples after it (from the first again
        after the last), and ends with the last example token of the set, as a real input ends with its separator.

        Args:
            length: Tokens a row, at least 1.
            rows: Number of rows.
            seed: Fixes which examples start the rows.

        Returns:
            Token ids, int64 [rows, length]; none is padding, so the mask is all ones.
        """
        starts = self.offsets[np.random.default_rng(seed).integers(0, len(self), size=rows)]
        where = (starts[:, None] + np.arange(length)[None, :]) % len(self.input_ids)
        packed = self.input_ids[where].astype(np.int64)
        packed[:, -1] = self.input_ids[-1]
        return packed
