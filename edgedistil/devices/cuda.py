"""The NVIDIA GPU of this machine, as a device."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from edgedistil.bench.cases import Case
from edgedistil.bench.facts import DeviceFacts, local_facts
from edgedistil.bench.scores import Examples
from edgedistil.bench.session import BenchResult, run_bench
from edgedistil.bench.settings import BenchSettings
from edgedistil.devices.profile import DeviceProfile, Kind, register
from edgedistil.errors import UsageError
from edgedistil.progress import Progress

_ORT, _TENSORRT, _TORCH = "onnxruntime-cuda", "onnxruntime-tensorrt", "pytorch-cuda-"
_WORKER = "edgedistil.models.worker"


class CudaProfile(DeviceProfile):
    """A GPU; its runtimes are other names for those of the bundle's files, all that are there by default."""

    runtimes: list[str] = Field(default_factory=lambda: usual_runtimes(tensorrt=has_tensorrt()), min_length=1)

    @property
    def opens(self) -> set[str]:
        """The runtimes, as the bundle's formats name them, whose files the GPU can be given."""
        return {"pytorch" if name.startswith(_TORCH) else "onnxruntime" for name in self.runtimes}

    @classmethod
    def known_runtimes(cls) -> list[str]:
        """Returns what `runtimes` may name."""
        return usual_runtimes(tensorrt=True)


def usual_runtimes(*, tensorrt: bool) -> list[str]:
    """Returns what a GPU is benched with, TensorRT included or not."""
    return [_ORT, *([_TENSORRT] if tensorrt else []), *(f"{_TORCH}{dtype}" for dtype in ("fp32", "fp16", "bf16"))]


def has_tensorrt() -> bool:
    """Returns whether TensorRT is installed, which ONNX Runtime's provider of that name needs."""
    return importlib.util.find_spec("tensorrt") is not None


class CudaDevice:
    """This machine's GPU.

    Args:
        profile: A profile of kind `cuda`.
    """

    def __init__(self, profile: DeviceProfile) -> None:
        self.profile = profile

    @property
    def threads(self) -> int:
        """Threads for what is left to the CPU: the profile's, else one."""
        return self.profile.threads or 1

    def facts(self) -> DeviceFacts:
        """Returns what kind of machine the GPU is in."""
        return local_facts()

    def bench(
        self,
        cases: Sequence[Case],
        examples: Examples | None,
        settings: BenchSettings | None = None,
        progress: Progress | None = None,
    ) -> BenchResult:
        """Measures the files on the GPU; a machine without one gives a failure a file, and no figure.

        Raises:
            UsageError: When the profile's runtimes take none of the files.
        """
        taken = on_gpu(cases, self.profile.runtimes)
        if not taken:
            raise UsageError(
                f"{', '.join(self.profile.runtimes)} takes none of: {', '.join(case.name for case in cases)}",
                where=f"device '{self.profile.name}'",
                cure="add onnx-fp16 to export.formats, or onnxruntime-cuda to the profile's runtimes",
            )
        return run_bench(taken, examples, settings, progress)


def on_gpu(cases: Sequence[Case], runtimes: Sequence[str]) -> list[Case]:
    """Returns the cases as a GPU runs them: ONNX once a provider, PyTorch weights once a precision."""
    taken = []
    for case in cases:
        if case.runtime == "onnxruntime":
            taken += [
                replace(case, name=f"{case.name}, {name.removeprefix('onnxruntime-')}", runtime=runtime)
                for name, runtime in _providers(case.format).items()
                if name in runtimes
            ]
        if case.runtime == "pytorch":
            taken += [
                replace(case, name=f"{case.name}, {name.removeprefix('pytorch-')}", runtime=name, worker_module=_WORKER)
                for name in runtimes
                if name.startswith(_TORCH)
            ]
    return taken


def _providers(form: str) -> dict[str, str]:
    """Returns what an ONNX file of a format is run with, by a profile's name for it.

    Of integers TensorRT takes only symmetric int8 (https://github.com/microsoft/onnxruntime/issues/10743), and linear
    layers' activations here have a zero point of their own.
    """
    if "int" in form:
        return {_ORT: _ORT}
    return {_ORT: _ORT, _TENSORRT: f"{_TENSORRT}-fp16" if form == "onnx-fp16" else _TENSORRT}


register("cuda", Kind(CudaProfile, CudaDevice))
