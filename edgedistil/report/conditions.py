"""What a reader must know of the conditions before believing a figure."""

from __future__ import annotations

from collections.abc import Sequence

from edgedistil.bench.measurement import Measurement

_BUSY = 0.15


def flags_of(made: Measurement) -> list[str]:
    """Returns what speaks against a measurement's times, each in a few words; none for a clean one."""
    conditions, device = made.conditions, made.device
    flags = []
    if made.emulated:
        flags.append("emulated: its times say nothing of a device")
    if not conditions.stable:
        flags.append("unstable: latencies had not settled after warm-up")
    if conditions.throttled:
        flags.append("throttled: the processor was slowed down or short of voltage")
    if not made.precise:
        flags.append(f"imprecise: p50 is known to {100 * made.p50_ms.relative_width:.1f} % only")
    load = conditions.load_average_before
    if conditions.busy_before is not None:
        # Measured at the moment itself: a load average still holds the training of a minute ago.
        if conditions.busy_before > _BUSY:
            flags.append(f"busy: others used {100 * conditions.busy_before:.0f} % of the processors when it began")
    elif load is not None and load > 0.5 * device.cores:
        flags.append(f"busy: load average {load:.1f} on {device.cores} cores when it began")
    return flags


def setting_of(measurements: Sequence[Measurement]) -> str:
    """Returns how the files were run, in one line, such as `batch 1, 64 tokens, 2 threads`."""
    batches = sorted({made.batch for made in measurements})
    lengths = sorted({made.sequence_length for made in measurements})
    threads = sorted({made.threads for made in measurements})
    return f"batch {_listed(batches)}, {_listed(lengths)} tokens, {_listed(threads)} thread{'s' * (threads != [1])}"


def _listed(values: Sequence[int]) -> str:
    return " and ".join(str(value) for value in values)


def device_of(measurements: Sequence[Measurement]) -> list[str]:
    """Returns each device that was measured on, in one line."""
    lines = []
    for made in measurements:
        facts = made.device
        name = f"{facts.board} ({facts.cpu})" if facts.board else facts.cpu
        parts = [f"{name}, {facts.cores} cores", f"{facts.memory_mb / 1000:.3g} GB", facts.os or facts.system]
        lines.append(", ".join([*parts, facts.machine, f"Python {facts.python}"]))
    return list(dict.fromkeys(lines))
