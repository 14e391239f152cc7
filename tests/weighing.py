"""A device whose instructions are a file's bytes: additive, exact and instant."""

from __future__ import annotations

from collections.abc import Sequence

from edgedistil.bench.cases import Case
from edgedistil.bench.facts import DeviceFacts, local_facts
from edgedistil.bench.measurement import Measurement
from edgedistil.bench.session import BenchResult
from edgedistil.bench.thermal import Conditions
from edgedistil.devices.profile import DeviceProfile


class WeighingDevice:
    """Answers with the size of each file.

    Args:
        runtime_version: What it says its runtime is.
        profile: What describes it.
    """

    def __init__(self, runtime_version: str = "1.0", profile: DeviceProfile | None = None) -> None:
        self.profile = profile or DeviceProfile(name="scales", kind="test")
        self.threads = 1
        self.runtime_version = runtime_version
        self.benched: list[int] = []

    def facts(self) -> DeviceFacts:
        return local_facts()

    def bench(self, cases: Sequence[Case], *_: object) -> BenchResult:
        self.benched.append(len(cases))
        return BenchResult([self._weigh(case) for case in cases])

    def _weigh(self, case: Case) -> Measurement:
        size = case.path.stat().st_size
        return Measurement(
            name=case.name,
            bundle=case.bundle,
            file=case.path.name,
            format=case.format,
            sha256="0" * 64,
            bytes=size,
            runtime=case.runtime,
            runtime_version=self.runtime_version,
            threads=case.threads,
            sequence_length=case.sequence_length,
            instructions={"total": size},
            device=self.facts(),
            conditions=Conditions(),
            started="2026-01-01T00:00:00+00:00",
            emulated=True,
        )
