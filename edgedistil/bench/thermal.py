"""What a device was doing while it was measured: clock, temperature, throttling, load."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from edgedistil.bench.runner import conditions as _collected


class Snapshot(BaseModel):
    """One look at the device, None where it does not tell.

    Attributes:
        load_average: Runnable processes over the last minute.
        busy: Share of all processors that others used in the moment of the look.
        busy_processes: Names of the others that used more than a tenth of one processor, the busiest first.
        governor: Frequency governor of the first processor.
        frequency_mhz: Mean current frequency of the processors.
        temperature_c: The hottest sensor, in degrees Celsius.
        throttle_flags: `vcgencmd get_throttled` of a Raspberry Pi.
        throttle_count: Throttling events counted by an x86 processor since it booted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    load_average: float | None = None
    busy: float | None = None
    busy_processes: list[str] = []
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
        busy_after: The same just after the last: who came meanwhile is not seen before.
        busy_processes: Names of the others that used most of it, at the busier of both times.
        governor: Frequency governor.
        frequency_mhz_before: Mean frequency before.
        frequency_mhz_after: Mean frequency after.
        temperature_c_before: Hottest sensor before.
        temperature_c_after: Hottest sensor after.
        throttled: Whether the device was slowed down or short of voltage while measured; None where it does not tell.
        throttled_by: What a Raspberry Pi gave as the reason, now or between the two looks.
        throttled_since_boot: What it had been troubled by since it was started, before or while measured.
        stable: Whether warm-up ended with stable latencies.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    load_average_before: float | None = None
    load_average_after: float | None = None
    busy_before: float | None = None
    busy_after: float | None = None
    busy_processes: list[str] = []
    governor: str | None = None
    frequency_mhz_before: float | None = None
    frequency_mhz_after: float | None = None
    temperature_c_before: float | None = None
    temperature_c_after: float | None = None
    throttled: bool | None = None
    throttled_by: list[str] = []
    throttled_since_boot: list[str] = []
    stable: bool = True

    def doubts(self) -> list[str]:
        """Returns why the times should not be trusted, each reason a clause; empty for an honest run."""
        found = []
        if self.throttled:
            found.append(f"it was throttled ({', '.join(self.throttled_by) or 'by its own processor'})")
        if not self.stable:
            found.append("its latency never became stable")
        before, after = self.frequency_mhz_before, self.frequency_mhz_after
        if before and after and after < before * (1 - _FREQUENCY_DROP):
            found.append(f"its clock fell from {before:.0f} to {after:.0f} MHz")
        if self.disturbed:
            names = f" ({', '.join(self.busy_processes)})" if self.busy_processes else ""
            found.append(f"others used {100 * self.busiest:.0f} % of its processors{names}")
        return found

    @property
    def busiest(self) -> float:
        """The larger share that others used, before or after; 0 where the device tells neither."""
        return max(self.busy_before or 0.0, self.busy_after or 0.0)

    @property
    def disturbed(self) -> bool:
        """Whether others used so much that times may have suffered."""
        return self.busiest > _BUSY


_BUSY = 0.15
_FREQUENCY_DROP = 0.1
# Raspberry Pi documentation, vcgencmd get_throttled: the bits of now; the same 16 higher say "since boot".
_TROUBLES = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
# Bits 0 to 3 of get_throttled: under-voltage, frequency capped, throttled, soft temperature limit, all of them now.
_THROTTLED_NOW = 0b1111


def decode_throttled(flags: int) -> tuple[list[str], list[str]]:
    """Returns the troubles that the bits of `vcgencmd get_throttled` tell of: those of now, and those since boot."""
    now = [name for bit, name in enumerate(_TROUBLES) if flags >> bit & 1]
    return now, [name for bit, name in enumerate(_TROUBLES) if flags >> (bit + 16) & 1]


def _reasons(before: Snapshot, after: Snapshot) -> tuple[list[str], list[str]]:
    """Returns what troubled a device between two looks, and since boot."""
    if before.throttle_flags is None or after.throttle_flags is None:
        return [], []
    fresh = after.throttle_flags & ~before.throttle_flags
    between = (before.throttle_flags | after.throttle_flags) & _THROTTLED_NOW | fresh >> 16 & _THROTTLED_NOW
    return decode_throttled(between)[0], decode_throttled(after.throttle_flags)[1]


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
    by, since_boot = _reasons(before, after)
    busier = after if (after.busy or 0.0) > (before.busy or 0.0) else before
    return Conditions(
        load_average_before=before.load_average,
        load_average_after=after.load_average,
        busy_before=before.busy,
        busy_after=after.busy,
        busy_processes=busier.busy_processes,
        governor=after.governor,
        frequency_mhz_before=before.frequency_mhz,
        frequency_mhz_after=after.frequency_mhz,
        temperature_c_before=before.temperature_c,
        temperature_c_after=after.temperature_c,
        throttled=was_throttled(before, after),
        throttled_by=by,
        throttled_since_boot=since_boot,
        stable=stable,
    )


def look() -> Snapshot:
    """Takes one look at the machine this runs on."""
    return Snapshot.model_validate(_collected.collect())
