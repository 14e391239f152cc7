"""What a device lacks, each with its cure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgedistil.bench.thermal import Snapshot, decode_throttled
from edgedistil.devices.architecture import machine_of
from edgedistil.devices.profile import DeviceProfile

_ROOM_MB = 500
_MEMORY_MB = 400
PACKAGES = {
    "onnxruntime": ("onnxruntime",),
    "litert": ("ai-edge-litert", "tflite-runtime"),
    "openvino": ("openvino",),
    "openvino-bf16": ("openvino",),
}
"""By runtime, the packages that bring it, the one to install first."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        name: What.
        found: What there is.
        cure: What to do about it; empty where nothing need be done.
        needed: Whether a bench cannot do without.
    """

    name: str
    found: str
    cure: str = ""
    needed: bool = True

    @property
    def level(self) -> str:
        """`ok`, `advice` or `missing`."""
        return "ok" if not self.cure else "missing" if self.needed else "advice"


def findings_of(seen: dict[str, Any], profile: DeviceProfile) -> list[Finding]:
    """Judges what `Remote.inspect(libraries=True)` has seen.

    Args:
        seen: The runner's inspection.
        profile: Which runtimes are wanted.

    Returns:
        Everything looked at, in the order in which it is best put right.
    """
    if "facts" not in seen:
        return [Finding("Python", str(seen["python"]), "install Python >= 3.9 there")]
    return [*_system(seen, profile), *_libraries(seen, profile), *_conditions(seen)]


def _system(seen: dict[str, Any], profile: DeviceProfile) -> Iterator[Finding]:
    facts = seen["facts"]
    yield Finding("Python", seen["python"])
    wanted = getattr(profile, "machine", None)
    machine = f"{seen['machine']}, {seen['bits']}-bit"
    wrong = wanted and wanted != machine_of(seen)
    yield Finding("architecture", machine, f"the profile says {wanted}: correct 'machine' or 'host'" if wrong else "")
    memory = facts["memory_mb"]
    yield Finding(
        "memory", f"{memory} MB", "" if memory >= _MEMORY_MB else "bench one format at a time (--format)", needed=False
    )
    free = seen["free_bytes"] / 1e6
    low = free < _ROOM_MB
    yield Finding("free disk", f"{free:.0f} MB", f"free at least {_ROOM_MB} MB" if low else "", needed=free < 50)
    limit = "timeout" in seen["tools"]
    yield Finding("time limit", "timeout" if limit else "none", "" if limit else "install coreutils", needed=False)


def _libraries(seen: dict[str, Any], profile: DeviceProfile) -> Iterator[Finding]:
    libraries = seen.get("libraries", {})
    setup = f"run: edgedistil devices setup {profile.name}"
    numpy = libraries.get("numpy")
    yield Finding("numpy", _version(numpy), "" if _usable(numpy) else setup)
    for runtime in profile.runtimes:
        packages = PACKAGES.get(runtime, (runtime,))
        found = {package: libraries.get(package) for package in packages}
        usable = [f"{package} {entry['version']}" for package, entry in found.items() if entry and _usable(entry)]
        broken = [f"{package}: {entry['error']}" for package, entry in found.items() if entry and not _usable(entry)]
        crashed = any(entry and entry.get("signal") for entry in found.values())
        cure = "install a build for this processor" if crashed else setup
        told = usable or broken or ["not installed"]
        yield Finding(runtime, "; ".join(told), "" if usable else cure)


def _conditions(seen: dict[str, Any]) -> Iterator[Finding]:
    look = Snapshot.model_validate(seen["conditions"])
    governor = look.governor
    steady = governor in (None, "performance")
    pin = "for steadier times: echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    yield Finding("governor", governor or "not told", "" if steady else pin, needed=False)
    heat = f"{look.temperature_c:.0f} C" if look.temperature_c is not None else "not told"
    yield Finding("temperature", heat)
    yield _throttling(look)
    busy = "not told" if look.busy is None else f"{100 * look.busy:.0f} % of the processors"
    names = f" ({', '.join(look.busy_processes)})" if look.busy_processes else ""
    quiet = look.busy is None or look.busy < 0.15
    yield Finding("others' work", busy + names, "" if quiet else "stop what else runs there", needed=False)


def _throttling(look: Snapshot) -> Finding:
    if look.throttle_flags is None:
        if look.throttle_count is not None:
            return Finding("throttling", f"{look.throttle_count} events since boot")
        return Finding("throttling", "not told")
    now, since = decode_throttled(look.throttle_flags)
    if now:
        return Finding("throttling", f"now: {', '.join(now)}", "use its own power supply, and a cooler", needed=False)
    told = f"none now; since boot: {', '.join(since)}" if since else "none since boot"
    return Finding("throttling", told, "use its own power supply, and a cooler" if since else "", needed=False)


def _usable(entry: dict[str, Any] | None) -> bool:
    return bool(entry and "version" in entry)


def _version(entry: dict[str, Any] | None) -> str:
    return "not installed" if entry is None else str(entry.get("version") or entry["error"])
