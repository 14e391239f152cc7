"""Token ids on disk: written row by row, read back as memory maps, whatever their number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.tokeniser import read_tokeniser


def load_tokeniser(folder: Path, max_length: int) -> Tokenizer:
    """Returns a folder's tokeniser, set to cut at `max_length` tokens and not to pad.

    Raises:
        UsageError: When the folder has no readable `tokenizer.json`.
    """
    tokeniser = read_tokeniser(folder)
    tokeniser.enable_truncation(max_length)
    return tokeniser


class TokenWriter:
    """Writes one split as it comes: `tokens.bin` (int32), then the small columns on closing.

    Args:
        folder: Made if missing; read back with `open_tokens`.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._stream = (folder / "tokens.bin").open("wb")
        self._lengths: list[int] = []
        self._labels: list[np.ndarray] = []
        self._ids: list[np.ndarray] = []

    def write(self, rows: Sequence[Sequence[int]], labels: np.ndarray, ids: np.ndarray) -> None:
        """Appends rows of token ids with their class numbers and example ids."""
        for row in rows:
            self._stream.write(np.asarray(row, dtype=np.int32).tobytes())
            self._lengths.append(len(row))
        self._labels.append(labels)
        self._ids.append(ids)

    def __enter__(self) -> TokenWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._stream.close()
        if kind is not None:
            return
        offsets = np.concatenate([[0], np.cumsum(self._lengths)]).astype(np.int64)
        np.save(self._folder / "offsets.npy", offsets, allow_pickle=False)
        np.save(self._folder / "labels.npy", np.concatenate(self._labels), allow_pickle=False)
        np.save(self._folder / "ids.npy", np.concatenate(self._ids), allow_pickle=False)


def open_tokens(folder: Path) -> EvaluationSet:
    """Returns a split that `TokenWriter` wrote; the token ids stay on disk."""
    tokens = np.memmap(folder / "tokens.bin", dtype=np.int32, mode="r")
    columns = [
        np.load(folder / f"{name}.npy", allow_pickle=False, mmap_mode="r") for name in ("offsets", "labels", "ids")
    ]
    return EvaluationSet(tokens, *columns)
