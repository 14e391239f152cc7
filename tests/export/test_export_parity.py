from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgedistil.export import parity as parity_module
from edgedistil.export.parity import TOLERANCES, ParityError, Tolerance, check_parity


@pytest.mark.parametrize("name", ["onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"])
def test_each_format_holds(world, name: str):
    found = check_parity(world.files[name], name, world.reference, world.evaluation)
    assert found.examples == 64
    assert found.tolerance == TOLERANCES[name].limit(world.reference)
    assert found.max_abs <= found.tolerance
    assert found.agreement >= TOLERANCES[name].agreement
    assert (found.max_abs > 1e-3) == name.endswith("int8"), "rounding shows, and only there"


def line_of(path: Path, name: str, world) -> str:
    with pytest.raises(ParityError) as caught:
        check_parity(path, name, world.reference, world.evaluation)
    assert caught.value.exit_code == 1
    return caught.value.line()


@pytest.mark.parametrize(("name", "title"), [("onnx-fp32", "ONNX fp32"), ("onnx-int8", "ONNX int8")])
def test_another_models_file_does_not_hold(world, other: dict[str, Path], name: str, title: str):
    line = line_of(other[name], name, world)
    assert line.startswith(f"{title}: it differs from PyTorch by up to ")
    assert line.endswith("over 64 texts; ship another format, or report it")


def test_flipped_bytes_in_the_weights_do_not_hold(world, tmp_path: Path):
    model = onnx.load(world.files["onnx-fp32"])
    words = next(entry for entry in model.graph.initializer if entry.dims[:1] == [world.model.config.vocab_size])
    damaged = bytearray(words.raw_data)
    damaged[1::4] = bytes(byte ^ 0xFF for byte in damaged[1::4])
    words.raw_data = bytes(damaged)
    onnx.save(model, tmp_path / "model.onnx")
    assert line_of(tmp_path / "model.onnx", "onnx-fp32", world).startswith("ONNX fp32: it differs from PyTorch by up")


def test_flipped_bytes_in_a_tflite_file_do_not_hold(world, tmp_path: Path):
    content = bytearray(world.files["tflite-int8"].read_bytes())
    words = world.model.encoder.embeddings.word.weight.detach()
    scale = words.abs().amax(1, keepdim=True) / 127
    stored = np.clip(np.round((words / scale).numpy()), -127, 127).astype(np.int8)
    start = content.find(stored[40].tobytes()[:8])
    assert start > 0, "the embedding lies in the file row by row, in int8"
    rows = slice(start, start + 64 * (len(words) - 40))
    content[rows] = bytes(byte ^ 0x7F for byte in content[rows])
    (tmp_path / "model.tflite").write_bytes(content)
    assert line_of(tmp_path / "model.tflite", "tflite-int8", world).startswith("TFLite int8: it differs from PyTorch")


def test_a_file_of_no_numbers_does_not_hold(world, tmp_path: Path):
    model = onnx.load(world.files["onnx-fp32"])
    bias = next(entry for entry in model.graph.initializer if entry.name.endswith(".classifier.bias"))
    bias.CopyFrom(numpy_helper.from_array(np.full(2, np.nan, dtype=np.float32), bias.name))
    onnx.save(model, tmp_path / "model.onnx")
    assert line_of(tmp_path / "model.onnx", "onnx-fp32", world) == (
        "ONNX fp32: it gives logits that are not finite numbers"
    )


@pytest.mark.parametrize("name", ["onnx-fp32", "tflite-fp32"])
def test_a_file_that_is_cut_off_or_missing_cannot_be_run(world, tmp_path: Path, name: str):
    assert "cannot be run (" in line_of(tmp_path / "absent", name, world)
    (tmp_path / "cut").write_bytes(world.files[name].read_bytes()[:1000])
    line = line_of(tmp_path / "cut", name, world)
    assert "it cannot be run (" in line
    assert "\n" not in line


def test_a_text_longer_than_the_longest_signature_is_told(world, monkeypatch: pytest.MonkeyPatch):
    class Longer:
        kind = "class"
        lengths = np.array([40])

        def batch(self, indices: list[int], length: int) -> tuple[np.ndarray, np.ndarray]:
            return np.ones((1, length), dtype=np.int64), np.ones((1, length), dtype=np.int64)

    with pytest.raises(ParityError, match=r"it cannot be run .*an input of 40 tokens is longer than the file's long"):
        check_parity(world.files["tflite-fp32"], "tflite-fp32", world.reference[:1], Longer())


def test_labels_must_agree_though_logits_are_close(world, monkeypatch: pytest.MonkeyPatch):
    near = np.repeat(world.reference.mean(1, keepdims=True), 2, axis=1) + np.array([0.01, -0.01])
    monkeypatch.setattr(parity_module, "logits_of", lambda *arguments: near)
    assert check_parity(Path("x"), "onnx-int8", near + 0.001, world.evaluation).agreement == 1.0
    with pytest.raises(ParityError, match=r"agrees on 0\.0 % of labels \(at least 95\.0 %\)"):
        check_parity(Path("x"), "onnx-int8", near[:, ::-1], world.evaluation)


def test_a_tolerance_grows_with_the_logits():
    tolerance = Tolerance(absolute=0.05, relative=0.2, agreement=0.95, spans=0.8)
    assert tolerance.limit(np.array([[-0.01, 0.01]])) == 0.05
    assert tolerance.limit(np.array([[-3.0, 2.0], [1.0, 0.0]])) == pytest.approx(1.0)


class Tokens:
    """A text of many tokens, each of which has a tag."""

    kind = "tags"
    offsets = np.array([0, 4000])


@pytest.mark.parametrize(
    ("name", "apart", "count", "line"),
    [
        ("onnx-int8", 1.5, 3, None),
        ("onnx-int8", 2.5, 1, r"by up to 2\.5 in a logit \(allowed 2\) and agrees on"),
        ("onnx-int8", 1.5, 300, r"by up to 1\.5 in a logit \(allowed 2\), by more than 1 too often, and agrees on"),
        ("onnx-fp32", 1.5, 3, r"by up to 1\.5 in a logit \(allowed 0\.0001\) and agrees on"),
    ],
)
def test_of_many_tokens_a_few_may_be_farther_off(
    monkeypatch: pytest.MonkeyPatch, name: str, apart: float, count: int, line: str | None
):
    reference = np.tile([[5.0, 0.0]], (4000, 1))
    logits = reference.copy()
    logits[:count, 0] += apart
    monkeypatch.setattr(parity_module, "logits_of", lambda *arguments: logits)
    if line is None:
        found = check_parity(Path("x"), name, reference, Tokens())  # type: ignore[arg-type]
        assert (found.max_abs, found.tolerance, found.agreement) == (apart, 2.0, 1.0)
        return
    with pytest.raises(ParityError, match=line):
        check_parity(Path("x"), name, reference, Tokens())  # type: ignore[arg-type]
