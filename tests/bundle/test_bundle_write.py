"""A bundle is written whole or not at all, and never over what is not one."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_bundle

from edgedistil.bundle import Accuracy, Bundle, open_bundle, record_accuracy, write_bundle
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.hashing import hash_file


def test_every_file_is_listed_with_its_hash_and_facts(bundle: Bundle, tmp_path: Path) -> None:
    listed = {record.path: record for record in bundle.manifest.files}
    on_disk = {path.relative_to(bundle.folder).as_posix() for path in bundle.folder.rglob("*") if path.is_file()}
    assert on_disk == {*listed, "edgedistil.json", "README.md"}
    for name, record in listed.items():
        assert record.sha256 == hash_file(bundle.folder / name)
    made = listed["onnx/model.onnx"]
    assert (made.format, made.parity and made.parity.agreement) == ("onnx-fp32", 1.0)
    assert listed["tokenizer.json"].format is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "sources"]


def test_an_older_bundle_is_replaced(bundle: Bundle, tmp_path: Path) -> None:
    sources = tiny_bundle.make_sources(tmp_path / "sources")
    del sources["onnx/model_quantized.onnx"]
    details = tiny_bundle.make_details(name="newer", facts={})
    write_bundle(bundle.folder, sources, details)
    assert open_bundle(bundle.folder).manifest.name == "newer"
    assert not (bundle.folder / "onnx/model_quantized.onnx").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "sources"]


@pytest.mark.parametrize("name", ["thesis.txt", "edgedistil.json"])
def test_a_folder_that_is_no_bundle_is_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / name).write_text("{}")
    with pytest.raises(UsageError, match="is not empty and not one of edgedistil's bundles"):
        tiny_bundle.make_bundle(tmp_path)
    assert (tmp_path / "bundle" / name).read_text() == "{}"


def test_a_bundle_with_a_strangers_file_in_it_is_kept(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds 'notes.txt', which is not the bundle's; move it away"):
        tiny_bundle.make_bundle(tmp_path)
    assert (bundle.folder / "notes.txt").read_text() == "mine"


def test_a_file_in_the_place_is_kept(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("mine")
    with pytest.raises(UsageError, match="is not a folder"):
        tiny_bundle.make_bundle(tmp_path)
    assert (tmp_path / "bundle").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "match"),
    [("pytorch_model.bin", "is a pickle"), ("../x.onnx", "is not a plain path"), ("modeling.py", "is a program")],
)
def test_a_path_that_may_not_be_in_a_bundle_is_refused(tmp_path: Path, name: str, match: str) -> None:
    sources = tiny_bundle.make_sources(tmp_path / "sources")
    sources[name] = sources["tokenizer.json"]
    with pytest.raises(UsageError, match=match):
        write_bundle(tmp_path / "bundle", sources, tiny_bundle.make_details())
    assert not (tmp_path / "bundle").exists()


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    sources = tiny_bundle.make_sources(tmp_path / "sources") | {"config.json": tmp_path / "none.json"}
    with pytest.raises(UsageError, match=r"none.json: no such file; it should become 'config.json'"):
        write_bundle(tmp_path / "bundle", sources, tiny_bundle.make_details())


def test_facts_of_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    sources = tiny_bundle.make_sources(tmp_path / "sources")
    del sources["onnx/model.onnx"]
    with pytest.raises(UsageError, match=r"facts are given for 'onnx/model.onnx'"):
        write_bundle(tmp_path / "bundle", sources, tiny_bundle.make_details())


def test_a_full_disk_leaves_the_old_bundle_and_no_litter(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[Path] = []
    copy = shutil.copyfile

    def fill_up(source: Path, target: Path) -> Any:
        if copied:
            raise OSError(errno.ENOSPC, "No space left on device")
        copied.append(target)
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", fill_up)
    with pytest.raises(EdgeDistilError, match=r"No space left on device.*; free space") as caught:
        tiny_bundle.make_bundle(tmp_path, name="newer")
    assert caught.value.exit_code == 1
    assert open_bundle(bundle.folder).manifest == bundle.manifest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "sources"]


def test_an_accuracy_measured_later_comes_into_manifest_and_card(bundle: Bundle) -> None:
    accuracy = Accuracy(value=0.6, low=0.231, high=0.882, examples=5)
    record_accuracy(bundle, {"onnx-int8": accuracy})
    opened = open_bundle(bundle.folder)
    record = opened.manifest.record("onnx-int8")
    assert record is not None
    assert record.accuracy == accuracy
    assert "60.0 % (23.1 to 88.2)" in (bundle.folder / "README.md").read_text()


def test_a_card_that_a_person_edited_is_left_alone(bundle: Bundle) -> None:
    (bundle.folder / "README.md").write_text("mine")
    record_accuracy(bundle, {"onnx-int8": Accuracy(value=0.6, low=0.2, high=0.9, examples=5)})
    assert (bundle.folder / "README.md").read_text() == "mine"
