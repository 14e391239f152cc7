"""The NVIDIA GPU of this machine, as a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from edgedistil.bench.cases import Case
from edgedistil.bench.facts import DeviceFacts, local_facts
from edgedistil.bench.scores import Examples
from edgedistil.bench.session import BenchResult, run_bench
from edgedistil.bench.settings import BenchSettings
from edgedistil.devices.profile import DeviceProfile, Kind, register
from edgedistil.progress import Progress

_TORCH = "pytorch-cuda-"
_WORKER = "edgedistil.models.worker"


class CudaProfile(DeviceProfile):
    """A GPU; its runtimes are other names for those of the bundle's files."""

    runtimes: list[str] = Field(
        default=["onnxruntime-cuda", f"{_TORCH}fp32", f"{_TORCH}fp16", f"{_TORCH}bf16"], min_length=1
    )

    @property
    def opens(self) -> set[str]:
        """The runtimes, as the bundle's formats name them, whose files the GPU can be given."""
        return {"pytorch" if name.startswith(_TORCH) else "onnxruntime" for name in self.runtimes}

    @classmethod
    def known_runtimes(cls) -> list[str]:
        """Returns what `runtimes` may name."""
        return ["onnxruntime-cuda", *(f"{_TORCH}{dtype}" for dtype in ("fp32", "fp16", "bf16"))]


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
        """Measures the files on the GPU; a machine without one gives a failure a file, and no figure."""
        return run_bench(on_gpu(cases, self.profile.runtimes), examples, settings, progress)


def on_gpu(cases: Sequence[Case], runtimes: Sequence[str]) -> list[Case]:
    """Returns the cases as a GPU runs them: ONNX in one way, PyTorch weights once a precision."""
    taken = []
    for case in cases:
        if case.runtime == "onnxruntime" and "onnxruntime-cuda" in runtimes:
            taken.append(replace(case, name=f"{case.name}, cuda", runtime="onnxruntime-cuda"))
        if case.runtime == "pytorch":
            taken += [
                replace(case, name=f"{case.name}, {name.removeprefix('pytorch-')}", runtime=name, worker_module=_WORKER)
                for name in runtimes
                if name.startswith(_TORCH)
            ]
    return taken


register("cuda", Kind(CudaProfile, CudaDevice))
