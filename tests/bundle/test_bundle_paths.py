"""No path that a manifest may name leads out of the folder, whatever it is spelt like."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistil.bundle.paths import check_path

FRAGMENTS = st.sampled_from(
    ["..", ".", "", "/", "//", "\\", "~", "C:", "onnx", "model.onnx", "\x00", "\n", "%2e%2e", "con", "a b", "é", "$x"]
)


@pytest.mark.parametrize(
    "path",
    ["config.json", "onnx/model.onnx", "evaluation/dev.npz", "a/b/c/model_quantized.onnx", "model-00001.safetensors"],
)
def test_plain_paths_are_allowed(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x.onnx",
        "onnx/../../x",
        "./x",
        "onnx//x",
        "onnx/",
        "C:/x",
        "c:x",
        "onnx\\x",
        "..\\x",
        "~/x",
        "a\x00b",
        "a\nb",
        ".git/config",
        "nul.onnx",
        "x.",
        "x ",
        "é.onnx",
        "a/" * 300 + "b",
        "edgedistil.json",
        "README.md",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        check_path(path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.PTH", "x.pkl", "training.ckpt", "f.joblib"])
def test_pickles_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="pickle"):
        check_path(f"weights/{name}")


@pytest.mark.parametrize("name", ["modeling_bert.py", "kernel.so", "run.SH"])
def test_programs_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="program"):
        check_path(name)


@given(st.one_of(st.text(max_size=40), st.lists(FRAGMENTS, max_size=6).map("/".join), st.lists(FRAGMENTS).map("".join)))
def test_whatever_is_allowed_stays_inside_on_every_system(path: str) -> None:
    try:
        check_path(path)
    except ValueError:
        return
    root = Path("/bundle")
    assert (root / path).resolve(strict=False).is_relative_to(root)
    assert (root / path).as_posix() == f"/bundle/{path}"
    windows = PureWindowsPath(path)
    assert not windows.is_absolute()
    assert not windows.drive
    assert ".." not in windows.parts
