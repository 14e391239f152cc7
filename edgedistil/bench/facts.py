"""What kind of device a measurement was taken on, as a record."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from edgedistil.bench.runner import facts as _collected
from edgedistil.hashing import hash_value

_HARDWARE = ("machine", "system", "cpu", "board", "cores", "flags")


class DeviceFacts(BaseModel):
    """Facts that name a kind of device, never one machine: no host name, serial number or address.

    Attributes:
        machine: Architecture, as `uname -m` says it.
        system: Kernel and C library's family, such as `Linux`.
        os: The distribution's own name.
        cpu: The processor's model name.
        board: The board's name where the device tree gives one, such as `Raspberry Pi 5 Model B Rev 1.0`.
        cores: Logical processors this process may use.
        memory_mb: Physical memory in MB (10^6 bytes).
        flags: Instruction sets that decide which kernels a runtime picks.
        python: Python's version.
        accelerator: The first NVIDIA GPU's model, whether or not it was what ran.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    machine: str
    system: str
    os: str = ""
    cpu: str
    board: str | None = None
    cores: int
    memory_mb: int
    flags: list[str] = []
    python: str
    accelerator: str | None = None

    @property
    def fingerprint(self) -> str:
        """A hash of the hardware, memory to the GB: the same for the same kind of device, whatever its software."""
        facts = {name: getattr(self, name) for name in _HARDWARE}
        return hash_value({**facts, "memory_gb": round(self.memory_mb / 1000)})

    def same_device(self, other: DeviceFacts) -> bool:
        """Tells whether times taken on the two may be compared: the hardware is alike, whatever the software."""
        return self.differences(other) == []

    def differences(self, other: DeviceFacts) -> list[str]:
        """Returns the names of the hardware facts in which two devices differ.

        Memory counts as differing beyond a tenth: the kernel and firmware hold back a little, differently each boot.
        """
        found = [name for name in _HARDWARE if getattr(self, name) != getattr(other, name)]
        if abs(self.memory_mb - other.memory_mb) > 0.1 * max(self.memory_mb, other.memory_mb):
            found.append("memory_mb")
        return found


def local_facts() -> DeviceFacts:
    """Collects the facts of the machine this runs on."""
    return DeviceFacts.model_validate(_collected.collect())
