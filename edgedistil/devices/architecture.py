"""The architecture of a device's programs, which is not always its kernel's."""

from __future__ import annotations

from typing import Any

from edgedistil.devices.profile import DeviceProfile
from edgedistil.errors import UsageError

_NARROW = {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}


def machine_of(seen: dict[str, Any]) -> str:
    """Returns the architecture that wheels must be for: a 32-bit system may run on a 64-bit kernel.

    Args:
        seen: The runner's inspection.
    """
    machine = str(seen["machine"])
    return _NARROW.get(machine, machine) if seen["bits"] == 32 else machine


def check_machine(seen: dict[str, Any], profile: DeviceProfile) -> None:
    """Checks that a device is of the architecture its profile names, if it names one.

    Raises:
        UsageError: When it is not.
    """
    found, wanted = machine_of(seen), getattr(profile, "machine", None)
    if wanted and wanted != found:
        raise UsageError(
            f"it is of architecture {found}, its profile says {wanted}",
            where=profile.name,
            cure="correct 'host' or 'machine' in its profile",
        )
