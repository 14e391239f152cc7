from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from bench_files import make_onnx

from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.evaluation import EvaluationSet

pytest.importorskip("openvino")


@pytest.mark.parametrize("length", [None, 8])
def test_it_answers_as_onnxruntime_does_whatever_the_shape(
    onnx_file: Path, examples: EvaluationSet, length: int | None
) -> None:
    model, other = (runtimes.create(name, str(onnx_file), 1, length) for name in ("openvino", "onnxruntime"))
    for indices, width in (([0], 8), ([0], 12), ([1, 2, 3], 12)):
        batch = examples.batch(indices, width)
        np.testing.assert_allclose(model.run(*batch), other.run(*batch), atol=1e-5)
    calls = [model.bind(*examples.batch(indices, 8)) for indices in ([0], [1], [0, 1])]
    for call in calls * 2:
        call()
    assert (model.name, model.version[0].isdigit()) == ("openvino", True)
    model.close()


def test_token_types_are_fed_where_the_graph_asks(tmp_path: Path, examples: EvaluationSet) -> None:
    path = make_onnx(tmp_path / "types.onnx", token_types=True)
    assert runtimes.create("openvino", str(path), 1).run(*examples.batch([0, 1], 12)).shape == (2, 3)


@pytest.mark.parametrize("content", [b"", b"junk" * 50, None])
def test_an_illegal_file_is_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "file.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunnerError) as caught:
        runtimes.create("openvino", str(path), 1)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert "; export it" in str(caught.value)


def test_a_processor_without_bf16_is_told(onnx_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgedistil.bench.runner.runtimes import openvino_bf16

    class Old:
        def get_property(self, *_: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(openvino_bf16.openvino, "Core", Old)
    with pytest.raises(RunnerError, match="this processor has no bf16; use the runtime openvino"):
        runtimes.create("openvino-bf16", str(onnx_file), 1)


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "_FACTORIES", {})
    monkeypatch.delitem(sys.modules, "edgedistil.bench.runner.runtimes.openvino", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(RunnerError, match="openvino is not installed; run: pip install openvino"):
        runtimes.factory_of("openvino")
