from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistil.errors import UsageError
from edgedistil.hashing import example_id, hash_file, hash_files, hash_value

# Without bool and float, which Python holds equal to int (True == 1 == 1.0) and JSON does not.
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def reordered(value: object) -> object:
    """Returns a value whose mappings were filled the other way round."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(VALUES)
def test_the_order_of_keys_does_not_count(value: object):
    assert hash_value(reordered(value)) == hash_value(value)


@given(VALUES, VALUES)
def test_two_values_share_a_hash_only_when_they_are_equal(one: object, other: object):
    assert (hash_value(one) == hash_value(other)) == (one == other)


@given(st.lists(st.integers(), min_size=2, max_size=5))
def test_the_order_of_a_list_counts(values: list[int]):
    assert (hash_value(values) == hash_value(values[::-1])) == (values == values[::-1])


def test_values_that_look_alike_differ():
    alike = [1, 1.5, True, "1", None, "null", [], {}, "", [1], {"1": 1}, 1.0]
    assert len({hash_value(value) for value in alike}) == len(alike)


def test_a_hash_is_that_of_canonical_json():
    assert hash_value({"b": [1, "é"], "a": None}) == hashlib.sha256('{"a":null,"b":[1,"é"]}'.encode()).hexdigest()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_hold_has_no_hash(value: float):
    with pytest.raises(ValueError, match="JSON"):
        hash_value(value)


@given(st.binary(max_size=64))
def test_a_files_hash_is_the_sha256_of_its_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = tmp_path_factory.getbasetemp() / "content.bin"
    path.write_bytes(content)
    assert hash_file(path) == hashlib.sha256(content).hexdigest()


def test_a_file_of_more_than_one_read_is_hashed_whole(tmp_path: Path):
    path = tmp_path / "large.bin"
    content = bytes(range(256)) * 9000
    path.write_bytes(content)
    assert hash_file(path) == hashlib.sha256(content).hexdigest()


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path):
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError) as caught:
            hash_file(path)
        assert caught.value.line() == f"{path}: it cannot be read ({reason}); make it readable, or copy it again"


def test_named_files_are_hashed_by_name_and_content_alone(tmp_path: Path):
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"
    a.write_text("a")
    b.write_text("b")
    first = hash_files({"x": a, "y": b})
    assert first == hash_files({"y": b, "x": a})
    assert first == hash_files({"x": Path(shutil.copy(a, tmp_path / "c")), "y": b})
    assert first != hash_files({"x": b, "y": a})


@given(st.text(), st.text())
def test_an_example_is_named_by_its_text(one: str, other: str):
    assert len(example_id(one)) == 16
    assert int(example_id(one), 16) >= 0
    assert (example_id(one) == example_id(other)) == (one == other)


def test_an_example_id_never_changes():
    assert example_id("a fine film") == hashlib.sha256(b"a fine film").hexdigest()[:16]
    assert example_id("a", "b") == hashlib.sha256(b"a\x1fb").hexdigest()[:16]
