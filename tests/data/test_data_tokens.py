from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistil.data.tokens import TokenWriter, load_tokeniser, open_tokens
from edgedistil.errors import UsageError

ROW = st.tuples(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6), st.integers(0, 9))


@given(st.lists(st.lists(ROW, min_size=1, max_size=5), min_size=1, max_size=4))
def test_what_is_written_in_parts_is_read_back_whole(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[tuple[list[int], int]]]
):
    folder = tmp_path_factory.getbasetemp() / "tokens"
    with TokenWriter(folder) as writer:
        for number, part in enumerate(parts):
            ids = np.array([f"{number:08x}{row:08x}" for row in range(len(part))])
            writer.write([row for row, _ in part], np.array([label for _, label in part]), ids)
    tokens = open_tokens(folder)
    rows = [(tokens.tokens(i).tolist(), int(tokens.labels[i]), str(tokens.ids[i])) for i in range(len(tokens))]
    assert rows == [
        (ids, label, f"{number:08x}{row:08x}")
        for number, part in enumerate(parts)
        for row, (ids, label) in enumerate(part)
    ]


def test_a_split_that_was_not_finished_cannot_be_opened(tmp_path: Path):
    with contextlib.suppress(KeyError), TokenWriter(tmp_path) as writer:
        writer.write([[1, 2]], np.array([0]), np.array(["a"]))
        raise KeyError
    with pytest.raises(FileNotFoundError):
        open_tokens(tmp_path)


def test_a_tokeniser_cuts_and_does_not_pad(teacher: Path):
    tokeniser = load_tokeniser(teacher, 6)
    short, long = tokeniser.encode_batch(["film", "the film was quite very dull and weak"])
    assert len(short.ids) == 3
    assert len(long.ids) == 6
    assert long.ids[-1] == short.ids[-1] == tokeniser.token_to_id("[SEP]")
    assert long.overflowing
    assert not short.overflowing


def test_a_folder_without_a_tokeniser_is_one_line(tmp_path: Path):
    with pytest.raises(UsageError) as caught:
        load_tokeniser(tmp_path, 8)
    assert caught.value.line().startswith(f"{tmp_path}: the folder has no tokenizer.json; save the model's fast")


def test_a_broken_tokeniser_is_one_line(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text('{"version":\n "1.0"')
    with pytest.raises(UsageError) as caught:
        load_tokeniser(tmp_path, 8)
    assert caught.value.line().startswith(f"{tmp_path}/tokenizer.json: cannot read the tokeniser (EOF")
