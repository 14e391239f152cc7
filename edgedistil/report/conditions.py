"""What a reader must know of the conditions before believing a figure."""

from __future__ import annotations

from collections.abc import Sequence

from edgedistil.bench.measurement import Measurement

_STEADY_CLOCK = 0.9


def flags_of(made: Measurement) -> list[str]:
    """Returns what speaks against a measurement's times, each in a few words; none for a clean one."""
    conditions, device = made.conditions, made.device
    flags: list[str] = []
    if made.emulated:
        # Nothing else can speak against times that are not shown.
        return ["emulated: its times and memory say nothing of a device, and are not shown"]
    if not conditions.stable:
        flags.append("unstable: latencies had not settled after warm-up")
    if conditions.throttled:
        reasons = f" ({', '.join(conditions.throttled_by)})" if conditions.throttled_by else ""
        flags.append(f"throttled: the processor was slowed down or short of voltage{reasons}")
    before, after = conditions.frequency_mhz_before, conditions.frequency_mhz_after
    if before and after and after < _STEADY_CLOCK * before:
        flags.append(f"slower: its clock fell from {before:.0f} to {after:.0f} MHz")
    if not made.precise:
        known = f" to {100 * made.p50_ms.relative_width:.1f} % only" if made.p50_ms else " roughly"
        flags.append(f"imprecise: p50 is known{known}")
    load = conditions.load_average_before
    if conditions.busy_before is not None:
        # Measured at the moment itself: a load average still holds the training of a minute ago.
        if conditions.disturbed:
            names = f" ({', '.join(conditions.busy_processes)})" if conditions.busy_processes else ""
            when = "began" if conditions.busiest == conditions.busy_before else "ended"
            share = f"{100 * conditions.busiest:.0f} %"
            flags.append(f"busy: others used {share} of the processors when it {when}{names}")
    elif load is not None and load > 0.5 * device.cores:
        flags.append(f"busy: load average {load:.1f} on {device.cores} cores when it began")
    return flags


def setting_of(measurements: Sequence[Measurement]) -> str:
    """Returns how the files were run, in one line, such as `batch 1, 64 tokens, 2 threads`."""
    offline = any(made.scenario == "offline" for made in measurements)
    batches = sorted({made.batch for made in measurements})
    lengths = sorted({made.sequence_length for made in measurements})
    threads = sorted({made.threads for made in measurements})
    scenarios = f"{_words(sorted({made.scenario for made in measurements}))}, " if offline else ""
    many = "s" * (threads != [1])
    return f"{scenarios}batch {_listed(batches)}, {_listed(lengths)} tokens, {_listed(threads)} thread{many}"


def _listed(values: Sequence[int]) -> str:
    return _words([str(value) for value in values])


def _words(values: Sequence[str]) -> str:
    return " and ".join(values)


def incomparable(made: Measurement, other: Measurement) -> str | None:
    """Returns why two measurements' times tell nothing of each other, or None where they do.

    Another number of threads is no reason: what more threads bring is asked for often enough.
    """
    if made.emulated or other.emulated:
        return "an emulator's times say nothing of a device"
    differing = made.device.differences(other.device)
    if differing:
        return f"another device ({', '.join(differing)} differ)"
    if (made.sequence_length, made.batch, made.scenario) != (other.sequence_length, other.batch, other.scenario):
        return f"run otherwise ({setting_of([made])} against {setting_of([other])})"
    return None


def device_of(measurements: Sequence[Measurement]) -> list[str]:
    """Returns each device that was measured on, in one line."""
    lines = []
    for made in measurements:
        facts = made.device
        name = f"{facts.board} ({facts.cpu})" if facts.board else facts.cpu
        parts = [f"{name}, {facts.cores} cores", f"{facts.memory_mb / 1000:.3g} GB", facts.os or facts.system]
        lines.append(", ".join([*parts, facts.machine, f"Python {facts.python}"]))
    return list(dict.fromkeys(lines))
