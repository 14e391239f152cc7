from __future__ import annotations

from pathlib import Path

import pytest
import tiny_bundle

from edgedistil.cli import measure
from edgedistil.cli.measure import Ask
from edgedistil.devices.profile import DeviceProfile


class Said:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_a_runtime_that_is_missing_here_is_said_once_and_its_cases_are_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, said = tiny_bundle.make_bundle(tmp_path), Said()
    monkeypatch.setattr(measure, "_installed", lambda runtime: "openvino" not in runtime)
    profile = DeviceProfile(name="x86", kind="local", runtimes=["onnxruntime", "openvino", "openvino-bf16"])
    for asked in ((), ("onnx-fp32",)):
        formats, opens = measure._runnable(bundle, Ask(formats=asked), profile, said)
        assert "onnx-fp32" in formats
        assert opens == {"onnxruntime"}
    assert said.lines == ["edgedistil: left out: openvino is not installed: pip install 'edgedistil[openvino]'"] * 2
    only = profile.model_copy(update={"runtimes": ["openvino"]})
    assert measure._runnable(bundle, Ask(formats=("onnx-fp32",)), only, said) == (["onnx-fp32"], {"openvino"})
