"""Collects what kind of device this is: its processor, memory and system, and nothing that names one machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Dict, List, Optional

from .cores import available_cores

_GPUS = Path("/proc/driver/nvidia/gpus")
_FLAGS = (
    *("avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("neon", "asimd", "asimdhp", "asimddp", "fphp", "i8mm", "bf16", "sve", "sve2"),
)
# MIDR part numbers of Arm Ltd (implementer 0x41), from the cores' technical reference manuals.
_ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd49": "Neoverse-N2",
    "0xd4f": "Neoverse-V2",
}


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip("\x00\n ")
    except OSError:
        return ""


def parse_cpuinfo(text: str) -> Dict[str, str]:
    """Returns the first value of every key of `/proc/cpuinfo`, keys in lower case."""
    found: Dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip().lower(), value.strip())
    return found


def cpu_name(cpuinfo: Dict[str, str], fallback: str) -> str:
    """Returns the processor's name: x86 kernels give it, on Arm the part number does."""
    if cpuinfo.get("model name"):
        return cpuinfo["model name"]
    if cpuinfo.get("cpu implementer") == "0x41":
        part = cpuinfo.get("cpu part", "")
        return _ARM_PARTS.get(part, f"Arm part {part}")
    return fallback


def cpu_flags(cpuinfo: Dict[str, str]) -> List[str]:
    """Returns the instruction sets that decide which kernels a runtime picks, sorted."""
    present = set(cpuinfo.get("flags", cpuinfo.get("features", "")).split())
    return sorted(present.intersection(_FLAGS))


def _memory_mb() -> int:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6)
    except (ValueError, OSError, AttributeError):
        return 0


def _os_name() -> str:
    for line in _read("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip("\"'")
    return f"{platform.system()} {platform.release()}"


def _board() -> Optional[str]:
    return _read("/proc/device-tree/model") or None


def accelerator(gpus: Path = _GPUS) -> Optional[str]:
    """Returns the model of the first GPU that NVIDIA's kernel driver tells of."""
    for path in sorted(gpus.glob("*/information")):
        model = parse_cpuinfo(_read(str(path))).get("model")
        if model:
            return model
    return None


def collect() -> Dict[str, object]:
    """Returns the facts as JSON-able values."""
    cpuinfo = parse_cpuinfo(_read("/proc/cpuinfo"))
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "os": _os_name(),
        "cpu": cpu_name(cpuinfo, platform.processor() or platform.machine()),
        "board": _board(),
        "cores": available_cores(),
        "memory_mb": _memory_mb(),
        "flags": cpu_flags(cpuinfo),
        "python": platform.python_version(),
        "accelerator": accelerator(),
    }
