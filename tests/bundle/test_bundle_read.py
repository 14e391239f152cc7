"""What is wrong with a bundle is told in one line, and nothing of it is used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgedistil.bundle import Bundle, open_bundle
from edgedistil.errors import UsageError


def refused(folder: Path, match: str) -> str:
    with pytest.raises(UsageError, match=match) as caught:
        open_bundle(folder)
    line = caught.value.line()
    assert "\n" not in line
    assert str(folder) in line
    return line


def edit(bundle: Bundle, change: Callable[[dict[str, Any]], Any]) -> None:
    path = bundle.folder / "edgedistil.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_a_bundle_opens_from_anywhere(bundle: Bundle, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(bundle.folder, moved)
    opened = open_bundle(str(moved))
    assert opened.manifest == bundle.manifest
    assert opened.formats == ["onnx-fp32", "onnx-int8"]
    assert opened.path("onnx-int8") == moved / "onnx/model_quantized.onnx"
    assert opened.evaluation_path == moved / "evaluation/dev.npz"


def test_a_format_it_has_not_names_those_it_has(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match=r"no file of format 'tflite-int8' .*it has: onnx-fp32, onnx-int8"):
        bundle.path("tflite-int8")


def test_a_changed_file_is_refused(bundle: Bundle) -> None:
    path = bundle.path("onnx-int8")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "model_quantized.onnx: its sha256 is not the one" in refused(bundle.folder, "it was changed")
    assert open_bundle(bundle.folder, verify=False).manifest == bundle.manifest


def test_a_file_cut_short_is_refused_without_hashing(bundle: Bundle) -> None:
    path = bundle.path("onnx-fp32")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match=r"has \d+ bytes where edgedistil.json says \d+"):
        open_bundle(bundle.folder, verify=False)


def test_a_missing_file_is_refused(bundle: Bundle) -> None:
    (bundle.folder / "tokenizer.json").unlink()
    refused(bundle.folder, r"tokenizer.json: missing, though edgedistil.json lists it")


@pytest.mark.parametrize(
    "name", ["model.safetensors", "pytorch_model.bin", "modeling.py", "onnx/config.json", "onnx/w_data"]
)
def test_weights_settings_and_code_that_nobody_listed_are_refused(bundle: Bundle, name: str) -> None:
    (bundle.folder / name).write_bytes(b"x")
    refused(bundle.folder, f"'{name}' is not listed in edgedistil.json; move it out")


@pytest.mark.parametrize("name", ["LICENSE", "picture.png", ".gitattributes", "notes.md"])
def test_other_files_may_lie_beside(bundle: Bundle, name: str) -> None:
    (bundle.folder / name).write_text("x")
    assert open_bundle(bundle.folder).manifest == bundle.manifest


def test_an_edited_card_is_no_tampering(bundle: Bundle) -> None:
    (bundle.folder / "README.md").write_text("mine")
    open_bundle(bundle.folder)


def test_a_link_out_of_the_folder_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    path = bundle.path("onnx-fp32")
    path.rename(tmp_path / "outside.onnx")
    path.symlink_to(tmp_path / "outside.onnx")
    refused(bundle.folder, "is a link that leaves the bundle's folder")


def test_a_linked_folder_is_refused_too(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.folder / "onnx").rename(tmp_path / "outside")
    (bundle.folder / "onnx").symlink_to(tmp_path / "outside")
    refused(bundle.folder, "is a link that leaves the bundle's folder")


def test_a_linked_folder_that_nobody_listed_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "model.safetensors").write_bytes(b"x")
    (bundle.folder / "pytorch").symlink_to(outside)
    refused(bundle.folder, "'pytorch' is a link to a folder; put the folder itself there")


def test_a_folder_linked_from_a_hidden_one_is_refused(bundle: Bundle) -> None:
    hidden = bundle.folder / ".onnx"
    (bundle.folder / "onnx").rename(hidden)
    (bundle.folder / "onnx").symlink_to(hidden)
    (hidden / "model_q4.onnx").write_bytes(b"x")
    refused(bundle.folder, "'onnx' is a link to a folder; put the folder itself there")


@pytest.mark.parametrize("path", ["../sources/model.onnx", "/etc/hostname", "onnx/../../x.onnx", "weights.bin"])
def test_a_manifest_that_names_such_a_path_is_refused(bundle: Bundle, path: str) -> None:
    edit(bundle, lambda values: values["files"][0].update(path=path))
    refused(bundle.folder, "'files.0.path': path ")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda values: values.update(schema_version=2), "schema_version 2 is unknown; this release reads 1; upgrade"),
        (lambda values: values.update(schema_version="1"), "schema_version '1' is unknown"),
        (lambda values: values.pop("schema_version"), "no 'schema_version'"),
        (lambda values: values.pop("labels"), "'labels': Field required"),
        (lambda values: values.update(labels=[]), "'labels': List should have at least 1 item"),
        (lambda values: values.update(colour="red"), "'colour': Extra inputs are not permitted"),
        (lambda values: values["files"].append(values["files"][0]), "is listed twice in 'files'"),
        (lambda values: values["files"][0].update(format="onnx-int3"), "did you mean 'onnx-int8'"),
        (lambda values: values["files"][0].update(sha256="abc"), "'files.0.sha256': String should match"),
        (lambda values: values["files"][0].update(bytes=-1), "'files.0.bytes': Input should be greater"),
        (lambda values: values["model"].update(heads=[1]), "2 layers need as many entries in 'heads' and 'ffn'"),
        (lambda values: values.update(seed=float("nan")), "'seed'"),
    ],
)
def test_a_manifest_with_a_fault_is_refused(bundle: Bundle, change: Callable[[Any], Any], match: str) -> None:
    edit(bundle, change)
    refused(bundle.folder, match)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_manifest_cut_short_is_refused(bundle: Bundle, share: float) -> None:
    path = bundle.folder / "edgedistil.json"
    text = path.read_text()
    path.write_text(text[: int(share * len(text.rstrip()))])
    refused(bundle.folder, "not valid JSON .*: the bundle manifest is damaged or cut short|damaged or cut short")


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[" * 100_000, b"null", b"[1]", b"1" + b"0" * 5000])
def test_a_manifest_that_is_none_is_refused(bundle: Bundle, data: bytes) -> None:
    (bundle.folder / "edgedistil.json").write_bytes(data)
    refused(bundle.folder, "cannot read the bundle manifest|no 'schema_version'|not valid JSON")


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "not a bundle: it has no edgedistil.json; make one with: edgedistil run RECIPE")


def test_no_folder_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "no such folder")
