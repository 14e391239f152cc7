from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
from tiny_bundle import make_model

from edgedistil.bench.cases import Case
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.runtimes import onnxruntime_cuda, onnxruntime_tensorrt
from edgedistil.devices import load_profile
from edgedistil.devices.cuda import on_gpu
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


@pytest.mark.parametrize(
    ("runtime", "provider", "line"),
    [
        (onnxruntime_cuda, "CUDAExecutionProvider", "knows no GPU; run: pip install onnxruntime-gpu"),
        (
            onnxruntime_tensorrt,
            "TensorrtExecutionProvider",
            "knows no TensorRT; run: pip install onnxruntime-gpu tensorrt",
        ),
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
        with pytest.raises(RunnerError, match="found no usable"):
            runtime.load(file, 1, None)
        monkeypatch.undo()
    model = runtime.load(file, 1, None, "CPUExecutionProvider")
    assert model.name == runtime.__name__.rpartition(".")[2].replace("_", "-")
    assert model.run(IDS, MASK).shape == (2, 2)


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
