"""The evaluation set as token ids prepared on the host, so that a device needs no tokenizer to be scored."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from .errors import RunnerError

IntArray = npt.NDArray[np.int64]

KINDS = ("class", "value", "tags", "span")
"""What a row's label is: a class number, a score, a tag a token, or an answer's first and last token."""

NOT_SCORED = -100
"""A token's tag where there is nothing to learn or to judge."""

_PAD_ID = 0
_ARRAYS = ("input_ids", "offsets", "labels", "ids")
_OFFSETS = ("starts", "ends")


class EvaluationSet:
    """Labelled examples as ragged token ids.

    Args:
        input_ids: Integers [total tokens], the rows one after the other, special tokens included.
        offsets: Integers [n + 1]; row i is `input_ids[offsets[i]:offsets[i + 1]]`.
        labels: By kind: class, integers [n]; value, floats [n]; tags, integers [total tokens], -100 for a token that
            is not scored; span, integers [n, 2], an answer's first and last token, (0, 0) where the row has none.
        ids: Strings [n], the hashed id of each row's example; rows that are windows of one example share it.
        kind: One of `KINDS`.
        starts: Integers [total tokens], where each token begins in its example's text, in characters; -1 for a token
            that is no part of it. None for the kinds class and value.
        ends: As `starts`: where each token ends, exclusive.

    Raises:
        RunnerError: When the arrays do not fit one another, or an example is empty.
    """

    def __init__(
        self,
        input_ids: npt.ArrayLike,
        offsets: npt.ArrayLike,
        labels: npt.ArrayLike,
        ids: npt.ArrayLike,
        kind: str = "class",
        starts: Optional[npt.ArrayLike] = None,
        ends: Optional[npt.ArrayLike] = None,
    ) -> None:
        self.kind = kind
        self.input_ids = np.asarray(input_ids, dtype=np.int32)
        self.offsets = np.asarray(offsets, dtype=np.int64)
        self.labels: npt.NDArray[Any] = np.asarray(labels, dtype=np.float32 if kind == "value" else np.int64)
        self.ids = np.asarray(ids, dtype=np.str_)
        self.starts = None if starts is None else np.asarray(starts, dtype=np.int32)
        self.ends = None if ends is None else np.asarray(ends, dtype=np.int32)
        self._check()

    def _check(self) -> None:
        count = len(self.ids)
        if count == 0:
            raise RunnerError("evaluation set has no examples")
        if self.kind not in KINDS:
            raise RunnerError(f"evaluation set is of an unknown kind '{self.kind}'", f"known are: {', '.join(KINDS)}")
        shape = {"tags": (len(self.input_ids),), "span": (count, 2)}.get(self.kind, (count,))
        if len(self.offsets) != count + 1 or self.labels.shape != shape:
            raise RunnerError(
                f"evaluation set is inconsistent: {'x'.join(map(str, self.labels.shape))} labels, {count} ids, "
                f"{len(self.offsets)} offsets"
            )
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.input_ids) or np.any(np.diff(self.offsets) < 1):
            raise RunnerError("evaluation set is inconsistent: offsets do not cut the token ids into examples")
        needed = self.kind in ("tags", "span")
        for name in _OFFSETS:
            found = getattr(self, name)
            if (found is None) == needed or (found is not None and found.shape != self.input_ids.shape):
                raise RunnerError(f"evaluation set is inconsistent: '{name}' does not fit a set of kind '{self.kind}'")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> IntArray:
        """Tokens a row, int64 [n]."""
        return np.diff(self.offsets)

    @classmethod
    def load(cls, path: Union[str, os.PathLike[str]]) -> EvaluationSet:
        """Reads a set written by `save`; nothing in the file is ever unpickled. One without a kind is of kind class.

        Raises:
            RunnerError: When the file is absent, is no such set or is inconsistent.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                more: Dict[str, Any] = {name: archive[name] for name in _OFFSETS if name in archive}
                if "kind" in archive:
                    more["kind"] = str(archive["kind"])
                return cls(*(archive[name] for name in _ARRAYS), **more)
        except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
            raise RunnerError(f"{path}: not a readable evaluation set ({error})") from error

    def save(self, path: Union[str, os.PathLike[str]]) -> None:
        """Writes the set as one compressed `.npz` under exactly this name."""
        arrays: Dict[str, Any] = {name: getattr(self, name) for name in (*_ARRAYS, *_OFFSETS)}
        present = {name: array for name, array in arrays.items() if array is not None}
        with Path(path).open("wb") as stream:
            np.savez_compressed(stream, kind=np.array(self.kind), **present)

    def slice(self, index: int) -> slice:
        """Returns where one row's tokens lie in the flat arrays."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def tokens(self, index: int) -> IntArray:
        """Returns the token ids of one row, int64 [length]."""
        return self.input_ids[self.slice(index)].astype(np.int64)

    def batch(self, indices: Sequence[int], length: int) -> Tuple[IntArray, IntArray]:
        """Pads rows with id 0 on the right.

        Args:
            indices: The rows wanted, [b].
            length: Tokens a row; a longer row is cut to it.

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
