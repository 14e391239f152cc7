from __future__ import annotations

import re
from pathlib import Path

import pytest
import tiny_bundle
from command import typed

from edgedistil.bench.cases import Case
from edgedistil.cli import measure
from edgedistil.cli.measure import Ask
from edgedistil.devices.profile import DeviceProfile
from edgedistil.errors import EdgeDistilError, UsageError


class Said:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_a_runtime_that_is_missing_here_is_said_once_and_its_cases_are_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, said = tiny_bundle.make_bundle(tmp_path), Said()
    monkeypatch.setattr(measure, "installed", lambda runtime: "openvino" not in runtime)
    profile = DeviceProfile(name="x86", kind="local", runtimes=["onnxruntime", "openvino", "openvino-bf16"])
    for asked in ((), ("onnx-fp32",)):
        formats, opens = measure._runnable(bundle, Ask(formats=asked), profile, said)
        assert "onnx-fp32" in formats
        assert opens == {"onnxruntime"}
    assert said.lines == ["edgedistil: left out: openvino is not installed: pip install 'edgedistil[openvino]'"] * 2
    only = profile.model_copy(update={"runtimes": ["openvino"]})
    assert measure._runnable(bundle, Ask(formats=("onnx-fp32",)), only, said) == (["onnx-fp32"], {"openvino"})


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (("onnx-int9",), r"no file of format 'onnx-int9' in this bundle; it has: "),
        (("onnx-fp32,onnx-int8",), r"no file of format 'onnx-fp32,onnx-int8' in this bundle; it has: "),
        (
            ("onnx-fp32",),
            r"--format: device 'small' runs no onnxruntime.*, which onnx-fp32 needs; choose another",
        ),
        ((), r"bundle.*: device 'small' runs no onnxruntime.*, which onnx-fp32 needs; choose one of: tflite-fp32"),
    ],
)
def test_a_format_that_is_not_there_or_not_for_the_device_is_said_in_one_line(
    asked: tuple[str, ...], line: str, tmp_path: Path
) -> None:
    bundle = tiny_bundle.make_bundle(tmp_path)
    profile = DeviceProfile(name="small", kind="local", runtimes=["litert"])
    with pytest.raises(UsageError) as caught:
        measure._runnable(bundle, Ask(formats=asked), profile, Said())
    assert re.search(line, caught.value.line())


@pytest.mark.parametrize("command", [["bench"], ["baseline", "set"]])
@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("folder", "folder: is a folder; name a file"),
        ("file/found", "file: nothing can be written there (not a folder); choose another folder"),
        ("/proc/found", "/proc: nothing can be written there (No such file or directory); choose another folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_said_before_anything_is_measured(
    command: list[str], place: str, line: str, tmp_path: Path
) -> None:
    bundle = tiny_bundle.make_bundle(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    # It would measure for a minute.
    asked = [*command, str(bundle.folder), "--output", place, "--force", "--seconds", "60"]
    done = typed(asked, tmp_path, timeout=30)
    assert (done.returncode, done.stderr.strip()) == (2, f"edgedistil: {line}")


@pytest.mark.parametrize(
    ("bench", "line"),
    [
        ({"sequence_length": "long"}, "'sequence_length': Input should be a valid integer"),
        ({"seconds_per_file": -1}, "'seconds_per_file': Input should be greater than 0"),
        ([1], "Input should be an object"),
    ],
)
def test_a_damaged_recipe_in_a_bundle_is_one_line(bench: object, line: str, tmp_path: Path) -> None:
    bundle = tiny_bundle.make_bundle(tmp_path, recipe={"bench": bench})
    with pytest.raises(UsageError) as caught:
        measure.measure_bundle(bundle.folder, Ask())
    assert caught.value.line().startswith(f"{bundle.folder}: bench of its recipe: {line}")


def test_a_bundle_is_measured_at_no_more_than_its_longest_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, seen = tiny_bundle.make_bundle(tmp_path, recipe={"bench": {"sequence_length": 512}}), []

    def bench(_: object, cases: list[Case], *__: object) -> None:
        seen.extend(cases)
        raise EdgeDistilError("seen")

    monkeypatch.setattr("edgedistil.devices.local.LocalDevice.bench", bench)
    with pytest.raises(EdgeDistilError, match="seen"):
        measure.measure_bundle(bundle.folder, Ask(formats=("onnx-fp32",)))
    assert {case.sequence_length for case in seen} == {bundle.manifest.max_length}
