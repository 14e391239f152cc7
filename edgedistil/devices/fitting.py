"""Which formats a device has a runtime for, and the line that refuses the others."""

from __future__ import annotations

from collections.abc import Iterable

from edgedistil.bundle.formats import FORMATS
from edgedistil.devices.profile import DeviceProfile
from edgedistil.errors import UsageError


def opened_by(profile: DeviceProfile, formats: Iterable[str]) -> list[str]:
    """Returns those of some formats that a device has a runtime for."""
    return [name for name in formats if profile.opens.intersection(FORMATS[name].runtimes)]


def check_opened(profile: DeviceProfile, asked: Iterable[str], able: Iterable[str], where: str) -> None:
    """Refuses the first format that a device has no runtime for.

    Args:
        profile: The device's.
        asked: Names of formats.
        able: Those that may be chosen instead.
        where: What asked, for the error.

    Raises:
        UsageError: When there is one.
    """
    refused = [name for name in asked if not opened_by(profile, [name])]
    if refused:
        instead = opened_by(profile, able)
        raise UsageError(
            f"device '{profile.name}' runs no {' or '.join(FORMATS[refused[0]].runtimes)}, which {refused[0]} needs",
            where=where,
            cure=f"choose one of: {', '.join(instead)}" if instead else "choose another device",
        )
