"""The bench of a run on devices that cannot open every file: what ships is measured all the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import tiny_recipe
from tiny_bundle import make_bundle, make_details, make_litert_bundle, make_sources
from weighing import WeighingDevice

from edgedistil.bench.cases import Case
from edgedistil.bench.measurement import read_measurements
from edgedistil.bench.session import BenchResult
from edgedistil.bundle import write_bundle
from edgedistil.bundle.read import Bundle
from edgedistil.devices.cuda import on_gpu
from edgedistil.devices.profile import DeviceProfile
from edgedistil.errors import EdgeDistilError
from edgedistil.pipeline import measuring
from edgedistil.pipeline.stage import StageContext
from edgedistil.pipeline.stages.bundle import _fp32_of
from edgedistil.progress import SilentProgress
from edgedistil.recipe.schema import Recipe


class Heard(SilentProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def measured(tmp_path: Path, device: WeighingDevice, teacher: Bundle, bundle: Bundle) -> tuple[list[str], list[str]]:
    """Returns the rows and what was said."""
    changes = {"bench": {"sequence_length": 8, "seconds_per_file": 0.2}, "max_length": 16, "prune": None}
    build = SimpleNamespace(recipe=Recipe.model_validate({**tiny_recipe(), **changes}))
    inputs = {"reference-teacher": teacher.folder.parent, "bundle": bundle.folder.parent}
    heard = Heard()
    folder = tmp_path / "bench"
    folder.mkdir()
    measuring.measure(build, device, StageContext(folder, folder, inputs, heard))
    return [made.name for made in read_measurements(folder / "measurements.jsonl")], heard.lines


def device(*runtimes: str) -> WeighingDevice:
    return WeighingDevice(profile=DeviceProfile(name="mine", kind="local", runtimes=list(runtimes)))


def fp32_bundle(folder: Path) -> Bundle:
    sources = make_sources(folder / "sources")
    del sources["onnx/model_quantized.onnx"]
    facts = {"onnx/model.onnx": make_details().facts["onnx/model.onnx"]}
    return write_bundle(folder / "bundle", sources, make_details(name="tiny-teacher", facts=facts))


@pytest.fixture
def teacher(tmp_path: Path) -> Bundle:
    return fp32_bundle(tmp_path / "teacher")


def test_the_teacher_is_measured_in_a_runtime_that_the_device_has(tmp_path: Path, teacher: Bundle) -> None:
    rows, said = measured(tmp_path, device("openvino"), teacher, make_bundle(tmp_path / "shipped"))
    assert rows[0] == "teacher, ONNX fp32 in OpenVINO"
    assert not said


def test_of_several_runtimes_the_teacher_is_measured_in_one(tmp_path: Path, teacher: Bundle) -> None:
    rows, _ = measured(tmp_path, device("onnxruntime", "openvino"), teacher, make_bundle(tmp_path / "shipped"))
    assert [name for name in rows if name.startswith("teacher")] == ["teacher, ONNX fp32"]


def test_a_device_that_cannot_open_the_teacher_measures_what_ships(tmp_path: Path, teacher: Bundle) -> None:
    rows, said = measured(tmp_path, device("litert"), teacher, make_litert_bundle(tmp_path / "shipped"))
    assert rows == ["student, TFLite fp32"]
    assert said == ["edgedistil: the teacher was not measured: speeds are held against student, TFLite fp32"]


def test_a_device_that_names_its_rows_has_measured_the_teacher(tmp_path: Path, teacher: Bundle) -> None:
    class Gpu(WeighingDevice):
        def bench(self, cases: Sequence[Case], *rest: object) -> BenchResult:
            return super().bench(on_gpu(cases, ["onnxruntime-cuda"]), *rest)

    rows, said = measured(tmp_path, Gpu(profile=device("onnxruntime").profile), teacher, make_bundle(tmp_path / "made"))
    assert rows[0] == "teacher, ONNX fp32, cuda"
    assert not said


def test_a_bench_that_measures_nothing_says_why(tmp_path: Path, teacher: Bundle) -> None:
    class Away(WeighingDevice):
        def bench(self, cases: Sequence[Case], *_: object) -> BenchResult:
            return BenchResult([], {case.name: EdgeDistilError("it is away") for case in cases})

    with pytest.raises(EdgeDistilError, match="it is away"):
        measured(tmp_path, Away(), teacher, make_bundle(tmp_path / "shipped"))


@pytest.mark.parametrize(
    ("opens", "name"),
    [
        ({"onnxruntime", "litert"}, "onnx-fp32"),
        ({"openvino"}, "onnx-fp32"),
        ({"litert"}, "tflite-fp32"),
        ({"pytorch"}, "onnx-fp32"),
    ],
)
def test_the_teacher_is_made_in_a_format_that_the_device_opens(opens: set[str], name: str) -> None:
    assert _fp32_of(opens) == name
