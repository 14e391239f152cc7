from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgedistil.bench.facts import DeviceFacts, local_facts
from edgedistil.bench.runner import conditions, facts
from edgedistil.bench.thermal import Snapshot, conditions_of, look, was_throttled

PI_5 = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

processor\t: 1
CPU part\t: 0xd03
Revision\t: c04170
"""
X86 = "processor : 0\nmodel name : Some Xeon\nflags : fpu avx2 avx512_vnni amx_int8 sse\n"


def test_names_and_flags_come_from_cpuinfo() -> None:
    pi, x86 = facts.parse_cpuinfo(PI_5), facts.parse_cpuinfo(X86)
    assert facts.cpu_name(pi, "?") == "Cortex-A76"
    assert facts.cpu_flags(pi) == ["asimd", "asimddp", "asimdhp", "fphp"]
    assert facts.cpu_name(x86, "?") == "Some Xeon"
    assert facts.cpu_flags(x86) == ["amx_int8", "avx2", "avx512_vnni"]
    assert facts.cpu_name({"cpu implementer": "0x41", "cpu part": "0xfff"}, "?") == "Arm part 0xfff"
    assert facts.cpu_name({}, "riscv64") == "riscv64"


def test_facts_of_this_machine_name_its_kind_but_not_itself() -> None:
    import os
    import platform

    found = local_facts()
    assert found.machine == platform.machine()
    assert found.cores == len(os.sched_getaffinity(0))
    assert found.memory_mb > 100
    assert set(found.model_dump()) == {
        *("machine", "system", "os", "cpu", "board", "cores", "memory_mb", "flags", "python")
    }


def test_the_same_device_is_told_by_its_hardware() -> None:
    one = local_facts()
    updated = one.model_copy(update={"python": "3.99.0", "os": "Other 1", "memory_mb": int(one.memory_mb * 0.99)})
    assert one.same_device(updated)
    assert one.fingerprint == one.model_copy(update={"python": "3.99.0", "os": "Other 1"}).fingerprint
    for change in ({"cores": one.cores + 1}, {"cpu": "another"}, {"memory_mb": one.memory_mb * 2}):
        other = DeviceFacts.model_validate({**one.model_dump(), **change})
        assert one.differences(other) == list(change)
        assert not one.same_device(other)
        assert one.fingerprint != other.fingerprint


def test_sysfs_is_read_in_its_units(tmp_path: Path) -> None:
    for cpu, frequency in (("cpu0", "1500000"), ("cpu1", "2400000")):
        (tmp_path / cpu / "cpufreq").mkdir(parents=True)
        (tmp_path / cpu / "cpufreq/scaling_cur_freq").write_text(frequency + "\n")
        (tmp_path / cpu / "thermal_throttle").mkdir()
        (tmp_path / cpu / "thermal_throttle/core_throttle_count").write_text("3\n")
    (tmp_path / "cpu0/cpufreq/scaling_governor").write_text("ondemand\n")
    for zone, temperature in (("thermal_zone0", "48312"), ("thermal_zone1", "51000"), ("thermal_zone2", "broken")):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "temp").write_text(temperature)
    assert conditions.frequency_mhz(tmp_path) == 1950
    assert conditions.governor(tmp_path) == "ondemand"
    assert conditions.temperature_c(tmp_path) == 51
    assert conditions.throttle_count(tmp_path) == 6


def test_a_device_that_does_not_tell_gives_none(tmp_path: Path) -> None:
    assert conditions.frequency_mhz(tmp_path) is None
    assert conditions.governor(tmp_path) is None
    assert conditions.temperature_c(tmp_path) is None
    assert conditions.throttle_count(tmp_path) is None


def test_vcgencmd_is_asked_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "vcgencmd"
    tool.write_text("#!/bin/sh\necho throttled=0x50005\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert conditions.throttle_flags() == 0x50005
    tool.write_text("#!/bin/sh\nexit 1\n")
    assert conditions.throttle_flags() is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert conditions.throttle_flags() is None
    assert conditions.parse_throttled("VCHI initialization failed") is None


@pytest.mark.parametrize(
    ("before", "after", "throttled"),
    [
        ({}, {}, None),
        ({"throttle_flags": 0}, {"throttle_flags": 0}, False),
        ({"throttle_flags": 0x50000}, {"throttle_flags": 0x50000}, False),
        ({"throttle_flags": 0x50000}, {"throttle_flags": 0xD0000}, True),
        ({"throttle_flags": 0}, {"throttle_flags": 0x4}, True),
        ({"throttle_flags": 0x1}, {"throttle_flags": 0x10000}, True),
        ({"throttle_count": 7}, {"throttle_count": 7}, False),
        ({"throttle_count": 7}, {"throttle_count": 9}, True),
        ({"throttle_count": 7}, {}, None),
    ],
)
def test_throttling_is_what_happened_in_between(before: dict, after: dict, throttled: bool | None) -> None:
    assert was_throttled(Snapshot(**before), Snapshot(**after)) is throttled


def test_busy_is_the_share_that_others_use(tmp_path: Path) -> None:
    assert 0 <= conditions.busy() <= 1
    assert conditions.busy(tmp_path / "none", seconds=0) is None
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 100 800 0 0 0 0 0 0\n")
    assert conditions.busy(stat, seconds=0) is None


def test_a_spinning_process_is_seen() -> None:
    spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        assert max(conditions.busy(seconds=0.5) for _ in range(6)) >= 0.5 / os.cpu_count()
    finally:
        spinner.kill()
        spinner.wait()


def test_conditions_join_two_looks() -> None:
    before, after = look(), Snapshot(load_average=3.5, temperature_c=60)
    found = conditions_of(before, after, stable=False)
    assert (found.load_average_before, found.load_average_after) == (before.load_average, 3.5)
    assert found.temperature_c_after == 60
    assert not found.stable
