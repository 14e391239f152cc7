from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgedistil.bundle.formats import FORMATS
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.export import all as all_module
from edgedistil.export import quantise_onnx as quantise_module
from edgedistil.export.all import Calibrating, export_all
from edgedistil.export.parity import ParityError
from edgedistil.export.quantise_onnx import needs_reduced_range, quantise_onnx
from edgedistil.export.quantise_tflite import quantise_tflite


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def export(world, formats: list[str], folder: Path):
    return export_all(world.model, formats, [16, 32], world.evaluation, world.reference, folder)


@pytest.fixture
def made_before(world, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the TFLite conversion, which is slow, from the files made before."""

    def copied(job) -> None:
        shutil.copyfile(world.files["tflite-fp32"], job.place("tflite-fp32"))

    monkeypatch.setitem(all_module.EXPORTERS, "tflite-fp32", copied)


@pytest.mark.usefixtures("made_before")
def test_every_format_is_made_at_its_place_and_holds(world, tmp_path: Path):
    made = export(world, ["tflite-int8", "onnx-int8", "onnx-fp32", "tflite-fp32"], tmp_path)
    assert [file.format for file in made] == ["onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"]
    for file in made:
        assert file.failure is None
        assert file.parity is not None
        assert file.path == tmp_path / FORMATS[file.format].path
    assert files_in(tmp_path) == {FORMATS[file.format].path for file in made}


@pytest.mark.usefixtures("made_before")
def test_fp32_files_that_nobody_asked_for_are_removed(world, tmp_path: Path):
    made = export(world, ["onnx-int8", "tflite-int8"], tmp_path)
    assert [(file.format, file.failure) for file in made] == [("onnx-int8", None), ("tflite-int8", None)]
    assert files_in(tmp_path) == {FORMATS["onnx-int8"].path, FORMATS["tflite-int8"].path}


def test_a_file_that_does_not_hold_is_named_and_the_others_are_kept(
    world, other: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def another_models(job) -> None:
        shutil.copyfile(other["onnx-int8"], job.place("onnx-int8"))

    monkeypatch.setitem(all_module.EXPORTERS, "onnx-int8", another_models)
    good, bad = export(world, ["onnx-fp32", "onnx-int8"], tmp_path)
    assert good.parity is not None
    assert bad.parity is None
    assert bad.failure is not None
    assert bad.failure.startswith("ONNX int8: it differs from PyTorch by up to ")
    assert "\n" not in bad.failure


def test_a_file_that_does_not_hold_padded_texts_is_named(world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(path: Path, *rest) -> None:
        raise ParityError("padded to 64 tokens, it differs", where=path.name)

    monkeypatch.setattr(all_module, "check_padded", refused)
    (bad,) = export(world, ["onnx-fp32"], tmp_path)
    assert bad.failure == "model.onnx: padded to 64 tokens, it differs"


def test_an_unknown_format_is_one_line_before_anything_is_made(world, tmp_path: Path):
    with pytest.raises(UsageError) as caught:
        export(world, ["onnx-fp32", "onnx-int3"], tmp_path)
    assert caught.value.line() == "export.formats: unknown format 'onnx-int3'; did you mean 'onnx-int8'?"
    assert files_in(tmp_path) == set()


def test_the_run_says_what_it_does_and_fills_its_bar(world, tmp_path: Path):
    class Recorded:
        def __init__(self) -> None:
            self.total, self.done, self.words = 0.0, 0.0, []

        @contextmanager
        def bar(self, description: str, total: float):
            self.total = total
            yield self

        def advance(self, amount: float = 1) -> None:
            self.done += amount

        def describe(self, text: str) -> None:
            self.words.append(text)

    progress = Recorded()
    arguments = (world.model, ["onnx-int8"], [16], world.evaluation, world.reference, tmp_path)
    export_all(*arguments, progress=progress)
    assert progress.done == progress.total
    assert progress.words == ["making ONNX fp32", "making ONNX int8", "checking ONNX int8"]


@pytest.mark.parametrize("quantise", [quantise_onnx, quantise_tflite])
def test_a_source_that_is_no_model_is_one_line(tmp_path: Path, quantise):
    source = tmp_path / "model.onnx"
    source.write_bytes(b"no model")
    with pytest.raises(EdgeDistilError) as caught:
        quantise(source, tmp_path / "out")
    assert caught.value.line().startswith(f"{source}: cannot quantise it (")
    assert files_in(tmp_path) == {"model.onnx"}


def test_seven_bits_leave_room_in_the_sums(world, tmp_path: Path):
    largest = {}
    for reduced in (True, False):
        quantise_onnx(world.files["onnx-fp32"], tmp_path / "model.onnx", reduce_range=reduced)
        graph = onnx.load(tmp_path / "model.onnx").graph
        products = {name for node in graph.node if "MatMulInteger" in node.op_type for name in node.input}
        weights = [
            numpy_helper.to_array(entry).astype(int)
            for entry in graph.initializer
            if entry.name in products and entry.data_type == onnx.TensorProto.INT8 and len(entry.dims) == 2
        ]
        largest[reduced] = max(int(np.abs(weight).max()) for weight in weights)
    assert largest[True] <= 64 < largest[False] <= 128


@pytest.mark.parametrize(
    ("machine", "flags", "reduced"),
    [
        ("x86_64", "flags : fpu avx2 avx512f", True),
        ("x86_64", "flags : fpu avx512_vnni avx2", False),
        ("x86_64", "flags : avx_vnni", False),
        ("AMD64", "flags : amx_int8", False),
        ("x86_64", "flags : avx512_vnni2", True),
        ("aarch64", "Features : fp asimd", False),
        ("x86_64", None, True),
    ],
)
def test_an_old_x86_keeps_seven_bits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: str, flags: str | None, reduced: bool
):
    facts = tmp_path / "cpuinfo"
    if flags is not None:
        facts.write_text(f"processor : 0\n{flags}\n")
    monkeypatch.setattr(quantise_module.platform, "machine", lambda: machine)
    monkeypatch.setattr(quantise_module, "Path", lambda name: {"/proc/cpuinfo": facts}[name])
    assert needs_reduced_range() == reduced


@pytest.mark.parametrize(("reduced", "most"), [(True, 64), (False, 127)])
def test_a_dynamic_file_keeps_seven_bits_where_its_device_needs_them(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reduced: bool, most: int
):
    monkeypatch.setattr(quantise_module, "needs_reduced_range", lambda: False)
    using = Calibrating(reduce_range=reduced)
    (file,) = export_all(
        world.model, ["onnx-int8"], [32], world.evaluation, world.reference, tmp_path, calibrating=using
    )
    weights = [numpy_helper.to_array(each) for each in onnx.load(file.path).graph.initializer]
    assert max(np.abs(each.astype(int)).max() for each in weights if each.dtype == np.int8 and each.ndim == 2) == most
