from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.evaluation import EvaluationSet

ROWS = st.lists(st.lists(st.integers(1, 999), min_size=1, max_size=9), min_size=1, max_size=9)


def make(rows: list[list[int]]) -> EvaluationSet:
    offsets = np.cumsum([0, *(len(row) for row in rows)])
    ids = [f"{index:016x}" for index in range(len(rows))]
    return EvaluationSet(np.concatenate(rows), offsets, np.arange(len(rows)) % 2, ids)


@given(ROWS)
def test_every_row_comes_back_padded_on_the_right(rows: list[list[int]]) -> None:
    examples = make(rows)
    longest = int(examples.lengths.max())
    input_ids, mask = examples.batch(range(len(rows)), longest)
    assert input_ids.shape == mask.shape == (len(rows), longest)
    assert input_ids.dtype == mask.dtype == np.int64
    for row, ids, seen in zip(rows, input_ids, mask, strict=True):
        assert ids.tolist() == row + [0] * (longest - len(row))
        assert seen.tolist() == [1] * len(row) + [0] * (longest - len(row))


@given(ROWS, st.integers(1, 40), st.integers(1, 4))
def test_packed_rows_are_runs_of_the_text(rows: list[list[int]], length: int, count: int) -> None:
    packed = make(rows).packed(length, count, seed=3)
    flat = [token for row in rows for token in row]
    starts = {tuple((flat[i:] + flat * length)[: length - 1]) for i in np.cumsum([0, *map(len, rows)])[:-1]}
    assert packed.shape == (count, length)
    assert all(tuple(row[:-1]) in starts and row[-1] == flat[-1] for row in packed.tolist())


def test_a_row_longer_than_asked_for_is_cut() -> None:
    input_ids, mask = make([[1, 2, 3, 4]]).batch([0], 2)
    assert input_ids.tolist() == [[1, 2]]
    assert mask.tolist() == [[1, 1]]


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    examples = make([[5, 6], [7]])
    path = tmp_path / "no_suffix_added"
    examples.save(path)
    again = EvaluationSet.load(path)
    assert path.is_file()
    for name in ("input_ids", "offsets", "labels", "ids"):
        assert np.array_equal(getattr(examples, name), getattr(again, name))
    assert again.tokens(1).tolist() == [7]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (([1, 2], [0, 2], [], []), "no examples"),
        (([1, 2], [0, 2], [0], ["a", "b"]), "2 ids"),
        (([1, 2], [0, 1], [0], ["a"]), "offsets do not cut"),
        (([1, 2], [0, 2, 2], [0, 1], ["a", "b"]), "offsets do not cut"),
    ],
)
def test_inconsistent_arrays_are_refused(arrays: tuple[list, ...], words: str) -> None:
    with pytest.raises(RunnerError, match=words):
        EvaluationSet(*arrays)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 cut short"])
def test_a_broken_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "dev.npz"
    path.write_bytes(content)
    with pytest.raises(RunnerError, match="not a readable evaluation set") as caught:
        EvaluationSet.load(path)
    assert "\n" not in str(caught.value)


def test_a_pickled_array_is_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "dev.npz"
    labels = np.array([{"a": 1}], dtype=object)
    np.savez(path, input_ids=[1], offsets=[0, 1], labels=labels, ids=["a"], allow_pickle=True)
    with pytest.raises(RunnerError, match="not a readable evaluation set"):
        EvaluationSet.load(path)
