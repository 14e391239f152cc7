"""Token ids on disk: written as they come, read back as memory maps, whatever their number."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from tokenizers import Tokenizer

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.tokeniser import read_tokeniser

_LABELS = {"class": np.int64, "value": np.float32, "tags": np.int64, "span": np.int64}


def load_tokeniser(folder: Path, max_length: int) -> Tokenizer:
    """Returns a folder's tokeniser, set to cut at `max_length` tokens and not to pad.

    Raises:
        UsageError: When the folder has no readable `tokenizer.json`.
    """
    tokeniser = read_tokeniser(folder)
    tokeniser.enable_truncation(max_length)
    return tokeniser


class _Column:
    """One array that grows on disk and becomes a `.npy` file when it is complete."""

    def __init__(self, path: Path, dtype: Any, width: int = 0) -> None:
        self._path = path
        self._dtype = np.dtype(dtype)
        self._width = width
        self._rows = 0
        self._stream: IO[bytes] = path.with_suffix(".part").open("wb")

    def write(self, values: Any) -> None:
        array = np.ascontiguousarray(values, dtype=self._dtype)
        self._rows += len(array)
        self._stream.write(array.tobytes())

    def close(self, *, complete: bool) -> None:
        self._stream.close()
        part = self._path.with_suffix(".part")
        if complete:
            shape = (self._rows, self._width) if self._width else (self._rows,)
            header = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
            with self._path.open("wb") as target, part.open("rb") as source:
                np.lib.format.write_array_header_1_0(target, header)
                shutil.copyfileobj(source, target)
        part.unlink()


class TokenWriter:
    """Writes one split as it comes; nothing that grows with its rows is held in memory.

    On disk: `tokens.bin` (int32), `offsets.npy`, `labels.npy`, `ids.npy` and `kind.txt`, for tags and spans also
    `starts.npy` and `ends.npy`, each as `EvaluationSet` has it.

    Args:
        folder: Made if missing; read back with `open_tokens`.
        kind: What a row's label is: one of `EvaluationSet`'s kinds.
    """

    def __init__(self, folder: Path, kind: str = "class") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._kind = kind
        self._total = 0
        self._stream = (folder / "tokens.bin").open("wb")
        self._columns = {
            "offsets": _Column(folder / "offsets.npy", np.int64),
            "labels": _Column(folder / "labels.npy", _LABELS[kind], width=2 if kind == "span" else 0),
            "ids": _Column(folder / "ids.npy", "<U16"),
        }
        if kind in ("tags", "span"):
            self._columns |= {name: _Column(folder / f"{name}.npy", np.int32) for name in ("starts", "ends")}
        self._columns["offsets"].write([0])

    def write(
        self,
        rows: Sequence[Sequence[int]],
        labels: Any,
        ids: Any,
        starts: Sequence[Sequence[int]] | None = None,
        ends: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Appends rows.

        Args:
            rows: Token ids of each row.
            labels: One label a row, by the set's kind; for tags a list of one tag a token.
            ids: The example id of each row.
            starts: For tags and spans, where each row's tokens begin in the example's text; -1 for one outside it.
            ends: As `starts`: where they end, exclusive.
        """
        if not len(rows):
            return
        self._stream.write(np.concatenate([np.asarray(row, dtype=np.int32) for row in rows]).tobytes())
        offsets = self._total + np.cumsum([len(row) for row in rows], dtype=np.int64)
        self._total = int(offsets[-1])
        self._columns["offsets"].write(offsets)
        self._columns["labels"].write(np.concatenate(labels) if self._kind == "tags" else labels)
        self._columns["ids"].write(ids)
        for name, values in (("starts", starts), ("ends", ends)):
            if values is not None:
                self._columns[name].write(np.concatenate(values))

    def __enter__(self) -> TokenWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._stream.close()
        for column in self._columns.values():
            column.close(complete=kind is None)
        if kind is None:
            (self._folder / "kind.txt").write_text(self._kind, encoding="utf-8")


def open_tokens(folder: Path) -> EvaluationSet:
    """Returns a split that `TokenWriter` wrote; everything stays on disk until it is looked at."""
    tokens = np.memmap(folder / "tokens.bin", dtype=np.int32, mode="r")
    kind_file = folder / "kind.txt"
    kind = kind_file.read_text(encoding="utf-8") if kind_file.is_file() else "class"
    names = ["offsets", "labels", "ids", *(["starts", "ends"] if kind in ("tags", "span") else [])]
    columns = {name: np.load(folder / f"{name}.npy", allow_pickle=False, mmap_mode="r") for name in names}
    return EvaluationSet(tokens, kind=kind, **columns)
