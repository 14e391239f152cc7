"""The machine this runs on, as a device."""

from __future__ import annotations

from collections.abc import Sequence

from edgedistil.bench.cases import Case
from edgedistil.bench.facts import DeviceFacts, local_facts
from edgedistil.bench.scores import Examples
from edgedistil.bench.session import BenchResult, run_bench
from edgedistil.bench.settings import BenchSettings
from edgedistil.devices.profile import DeviceProfile, Kind, register
from edgedistil.progress import Progress


class LocalDevice:
    """This machine.

    Args:
        profile: A profile of kind `local`.
    """

    def __init__(self, profile: DeviceProfile) -> None:
        self.profile = profile

    @property
    def threads(self) -> int:
        """Threads an inference may use: the profile's, else all the cores this process may use."""
        return self.profile.threads or self.facts().cores

    def facts(self) -> DeviceFacts:
        """Returns what kind of machine this is."""
        return local_facts()

    def bench(
        self,
        cases: Sequence[Case],
        examples: Examples | None,
        settings: BenchSettings | None = None,
        progress: Progress | None = None,
    ) -> BenchResult:
        """Measures the cases whose runtime the profile names; a case with a worker of its own is always taken."""
        taken = [case for case in cases if case.runtime in self.profile.runtimes or case.brings_worker]
        return run_bench(taken, examples, settings, progress)


register("local", Kind(DeviceProfile, LocalDevice))
