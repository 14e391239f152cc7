from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from tiny_bundle import make_model

from edgedistil.bench.cases import Case
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.runtimes import onnxruntime_cuda, onnxruntime_tensorrt, onnxruntime_tensorrt_fp16
from edgedistil.bench.runner.runtimes.onnxruntime import OnnxModel
from edgedistil.devices import load_profile
from edgedistil.devices.cuda import CudaDevice, on_gpu
from edgedistil.errors import UsageError
from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.cuda import CudaModel
from edgedistil.models.modelling import EdgeBertForSequenceClassification

SHIPPED = Path(__file__).resolve().parents[2] / "devices"
IDS = np.array([[2, 7, 3, 0], [2, 8, 8, 3]])
MASK = (IDS > 0).astype(np.int64)


@pytest.mark.parametrize("tensorrt", [False, True])
def test_files_become_what_a_gpu_runs(tensorrt: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgedistil.devices.cuda.has_tensorrt", lambda: tensorrt)
    profile = load_profile("cuda", [SHIPPED])
    cases = [
        Case("ONNX fp32", "b", Path("x"), "onnx-fp32", "onnxruntime", 1, 8),
        Case("TFLite", "b", Path("x"), "tflite-fp32", "litert", 1, 8),
        Case("PyTorch", "b", Path("x"), "pytorch", "pytorch", 1, 8),
    ]
    found = on_gpu(cases, profile.runtimes)
    onnx = ["ONNX fp32, cuda", *(["ONNX fp32, tensorrt"] if tensorrt else [])]
    assert [case.name for case in found] == [*onnx, "PyTorch, cuda-fp32", "PyTorch, cuda-fp16", "PyTorch, cuda-bf16"]
    assert [case.brings_worker for case in found] == [*(False for _ in onnx), True, True, True]
    assert profile.opens == {"onnxruntime", "pytorch"}


def test_tensorrt_takes_what_it_has_kernels_for() -> None:
    cases = [Case(name, "b", Path("x"), name, "onnxruntime", 1, 8) for name in ("onnx-fp32", "onnx-fp16", "onnx-int8")]
    found = {case.name: case.runtime for case in on_gpu(cases, ["onnxruntime-tensorrt"])}
    assert found == {
        "onnx-fp32, tensorrt": "onnxruntime-tensorrt",
        "onnx-fp16, tensorrt": "onnxruntime-tensorrt-fp16",
    }
    device = CudaDevice(load_profile("cuda", [SHIPPED]).model_copy(update={"runtimes": ["onnxruntime-tensorrt"]}))
    with pytest.raises(UsageError, match="onnxruntime-tensorrt takes none of: onnx-int8; add onnx-fp16 to"):
        device.bench(cases[2:], None)


@pytest.mark.parametrize(
    ("runtime", "provider", "line"),
    [
        (onnxruntime_cuda, "CUDAExecutionProvider", "knows no GPU; run: pip uninstall onnxruntime, then pip install"),
        (onnxruntime_tensorrt, "TensorrtExecutionProvider", "knows no TensorRT; run: pip uninstall onnxruntime"),
        (onnxruntime_tensorrt_fp16, "TensorrtExecutionProvider", "knows no TensorRT; run: pip uninstall onnxruntime"),
    ],
)
def test_no_provider_falls_back_unseen(
    runtime: ModuleType, provider: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(tmp_path / "model.onnx")
    file = str(tmp_path / "model.onnx")
    if provider not in onnxruntime.get_available_providers():
        with pytest.raises(RunnerError, match=line):
            runtime.load(file, 1, None)
        # As where the provider is built in, and its libraries or the GPU are missing.
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [provider, "CPUExecutionProvider"])
        library = f"libonnxruntime_providers_{provider.removesuffix('ExecutionProvider').lower()}"
        with pytest.raises(RunnerError, match=rf"cannot use {provider}: .*{library}\b.*; run: pip"):
            runtime.load(file, 1, None)
        monkeypatch.setattr(onnxruntime_cuda, "missing_library", lambda _: "libcuda.so.1: cannot open")
        with pytest.raises(RunnerError, match=r"Provider: libcuda\.so\.1: cannot open; check the driver"):
            runtime.load(file, 1, None)
        monkeypatch.undo()
    model = runtime.load(file, 1, None, "CPUExecutionProvider")
    assert model.name == runtime.__name__.rpartition(".")[2].replace("_", "-")
    assert model.run(IDS, MASK).shape == (2, 2)


@pytest.mark.parametrize("answers", ["once a text", "once a token"])
def test_tensorrt_sees_few_lengths_and_answers_at_each_texts_own(
    answers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(tmp_path / "model.onnx")
    make_model(Path(file))
    if answers == "once a token":
        tags = onnx.load(file)
        tags.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("kept", 1, ["batch", "sequence", 2]))
        onnx.save(tags, file)
    model = onnxruntime_tensorrt.load(file, 1, None, "CPUExecutionProvider")
    plain = OnnxModel(file, 1)
    seen: list[tuple[int, ...]] = []
    feed = model._feed

    def watched(ids: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        seen.append(ids.shape)
        return feed(ids, mask)

    monkeypatch.setattr(model, "_feed", watched)
    for length in (3, 4, 17, 30, 32, 33):
        ids = np.arange(2 * length).reshape(2, length) % 7 + 1
        assert np.allclose(model.run(ids, np.ones_like(ids)), plain.run(ids, np.ones_like(ids)), atol=1e-6)
    assert seen == [(2, 16), (2, 16), (2, 32), (2, 32), (2, 32), (2, 64)]


def test_a_model_of_fewer_positions_takes_a_text_at_its_own_length(tmp_path: Path) -> None:
    file = str(tmp_path / "model.onnx")
    make_model(Path(file))
    short = onnx.load(file)
    for entry in short.graph.input:
        entry.type.tensor_type.shape.dim[1].dim_value = 4
    onnx.save(short, file)
    model = onnxruntime_tensorrt.load(file, 1, None, "CPUExecutionProvider")
    assert np.allclose(model.run(IDS, MASK), OnnxModel(file, 1).run(IDS, MASK), atol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 1e-6), ("bf16", 0.05)])
def test_pytorch_runs_in_each_precision(dtype: str, tolerance: float, tmp_path: Path) -> None:
    config = EdgeBertConfig(vocab_size=10, hidden_size=16, head_size=8, heads=[2], ffn=[32], max_position_embeddings=8)
    EdgeBertForSequenceClassification(config).eval().save_pretrained(tmp_path)
    weights = str(tmp_path / "model.safetensors")
    plain, model = CudaModel(weights, "fp32", "cpu"), CudaModel(weights, dtype, "cpu")
    assert np.allclose(model.run(IDS, MASK), plain.run(IDS, MASK), atol=tolerance)
    bound = model.bind(IDS, MASK)().float().numpy()
    assert np.allclose(bound, model.run(IDS, MASK), atol=1e-6)
    assert model.device_memory_mb() == 0


def test_without_a_gpu_nothing_is_measured(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(RunnerError, match="PyTorch finds no usable GPU"):
        CudaModel(str(tmp_path / "none"), "fp16")
