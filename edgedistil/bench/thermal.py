"""What a device was doing while it was measured: clock, temperature, throttling, load."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from edgedistil.bench.runner import conditions as _collected


class Snapshot(BaseModel):
    """One look at the device, None where it does not tell.

    Attributes:
        load_average: Runnable processes over the last minute.
        busy: Share of all processors that others used in the moment of the look.
        governor: Frequency governor of the first processor.
        frequency_mhz: Mean current frequency of the processors.
        temperature_c: The hottest sensor, in degrees Celsius.
        throttle_flags: `vcgencmd get_throttled` of a Raspberry Pi.
        throttle_count: Throttling events counted by an x86 processor since it booted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    load_average: float | None = None
    busy: float | None = None
    governor: str | None = None
    frequency_mhz: float | None = None
    temperature_c: float | None = None
    throttle_flags: int | None = None
    throttle_count: int | None = None


class Conditions(BaseModel):
    """The conditions of one measurement.

    Attributes:
        load_average_before: Load average before the first inference; the bench itself is in the ones that follow.
        load_average_after: The same after the last.
        busy_before: Share of all processors that others used just before the first inference.
        governor: Frequency governor.
        frequency_mhz_before: Mean frequency before.
        frequency_mhz_after: Mean frequency after.
        temperature_c_before: Hottest sensor before.
        temperature_c_after: Hottest sensor after.
        throttled: Whether the device was slowed down or short of voltage while measured; None where it does not tell.
        stable: Whether warm-up ended with stable latencies.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    load_average_before: float | None = None
    load_average_after: float | None = None
    busy_before: float | None = None
    governor: str | None = None
    frequency_mhz_before: float | None = None
    frequency_mhz_after: float | None = None
    temperature_c_before: float | None = None
    temperature_c_after: float | None = None
    throttled: bool | None = None
    stable: bool = True


# Bits 0 to 3 of get_throttled: under-voltage, frequency capped, throttled, soft temperature limit, all of them now.
_THROTTLED_NOW = 0b1111


def was_throttled(before: Snapshot, after: Snapshot) -> bool | None:
    """Tells whether a device was throttled between two looks.

    A Pi's bits 16 to 19 say "since boot", so only those that are new, or bits of now, count; an x86 processor counts
    events.

    Returns:
        None where the device tells neither.
    """
    if before.throttle_flags is not None and after.throttle_flags is not None:
        now = (before.throttle_flags | after.throttle_flags) & _THROTTLED_NOW
        return bool(now or after.throttle_flags & ~before.throttle_flags)
    if before.throttle_count is not None and after.throttle_count is not None:
        return after.throttle_count > before.throttle_count
    return None


def conditions_of(before: Snapshot, after: Snapshot, stable: bool) -> Conditions:
    """Joins two looks at a device into the conditions of what ran between them."""
    return Conditions(
        load_average_before=before.load_average,
        load_average_after=after.load_average,
        busy_before=before.busy,
        governor=after.governor,
        frequency_mhz_before=before.frequency_mhz,
        frequency_mhz_after=after.frequency_mhz,
        temperature_c_before=before.temperature_c,
        temperature_c_after=after.temperature_c,
        throttled=was_throttled(before, after),
        stable=stable,
    )


def look() -> Snapshot:
    """Takes one look at the machine this runs on."""
    return Snapshot.model_validate(_collected.collect())
