"""Whether a device can run a format at all; plain names, for plans made without torch."""

from __future__ import annotations

from edgedistil.bundle.formats import FORMATS
from edgedistil.devices.profile import DeviceProfile
from edgedistil.errors import UsageError, did_you_mean


def check_runtime(profile: DeviceProfile, name: str) -> None:
    """Refuses a format that a device has no runtime for.

    Args:
        profile: The device's.
        name: The format's.

    Raises:
        UsageError: When there is no such format, or the device runs none of its kind.
    """
    if name not in FORMATS:
        raise UsageError(f"unknown format '{name}'", cure=did_you_mean(name, FORMATS))
    runtime = FORMATS[name].runtime
    if runtime not in profile.runtimes:
        raise UsageError(
            f"runs no {runtime}, which {name} needs",
            where=profile.name,
            cure=f"choose a format of: {', '.join(profile.runtimes)}",
        )
