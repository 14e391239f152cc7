from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistil.bench.facts import DeviceFacts, local_facts
from edgedistil.bench.runner import conditions, facts
from edgedistil.bench.runner.cores import available_cores
from edgedistil.bench.thermal import Conditions, Snapshot, conditions_of, decode_throttled, look, was_throttled

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
    import platform

    found = local_facts()
    assert found.machine == platform.machine()
    assert found.cores == available_cores()
    assert found.memory_mb > 100
    assert set(found.model_dump()) == {
        *("machine", "system", "os", "cpu", "board", "cores", "memory_mb", "flags", "python", "accelerator")
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
    assert conditions.busy(tmp_path, seconds=0) is None


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


def test_a_pis_bits_are_named() -> None:
    assert decode_throttled(0x50005) == (["under-voltage", "throttled"], ["under-voltage", "throttled"])
    assert decode_throttled(0xA0000) == ([], ["frequency capped", "soft temperature limit"])
    assert decode_throttled(0) == ([], [])


@given(st.integers(0, 2**20 - 1), st.integers(0, 2**20 - 1))
def test_a_throttled_pi_always_says_by_what(before: int, after: int) -> None:
    found = conditions_of(Snapshot(throttle_flags=before), Snapshot(throttle_flags=after | before & 0xF0000), True)
    assert found.throttled == bool(found.throttled_by)
    assert len(found.throttled_since_boot) == (after >> 16 | before >> 16 & 0xF).bit_count()


@given(st.text())
def test_any_text_is_bits_or_nothing(text: str) -> None:
    found = conditions.parse_throttled(text)
    assert found is None or isinstance(found, int)


@given(st.integers(0, 0xFFFFF))
def test_bits_are_read_as_vcgencmd_prints_them(bits: int) -> None:
    assert conditions.parse_throttled(f"throttled={bits:#x}\n") == bits


@given(st.text())
def test_any_text_is_a_process_or_nothing(text: str) -> None:
    found = conditions.parse_process(text)
    assert found is None or isinstance(found[1], int)


@given(st.text(st.characters(blacklist_characters="\n"), max_size=15), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_process_is_read_whatever_its_name(name: str, user: int, system: int) -> None:
    stat = f"17 ({name}) S 1 17 17 0 -1 4194560 10 0 0 0 {user} {system} 0 0 20 0 1 0 5 6 7"
    found = conditions.parse_process(stat)
    assert found is not None
    assert found[1] == user + system


def test_other_processes_are_named_by_what_they_use() -> None:
    spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        seen = [conditions.usage(seconds=0.4)[1] for _ in range(5)]
    finally:
        spinner.kill()
        spinner.wait()
    assert any(Path(sys.executable).name[:6] in name for names in seen for name in names)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"throttled": True, "throttled_by": ["under-voltage"]}, "it was throttled (under-voltage)"),
        ({"throttled": True}, "it was throttled (by its own processor)"),
        ({"stable": False}, "its latency never became stable"),
        ({"frequency_mhz_before": 2400, "frequency_mhz_after": 1500}, "its clock fell from 2400 to 1500 MHz"),
        ({"frequency_mhz_before": 2400, "frequency_mhz_after": 2300}, None),
        ({"busy_before": 0.5, "busy_processes": ["apt"]}, "others used 50 % of its processors (apt)"),
        ({"busy_before": 0.0, "busy_after": 0.5}, "others used 50 % of its processors"),
    ],
)
def test_what_speaks_against_a_run_is_said(changes: dict, words: str | None) -> None:
    assert Conditions(**changes).doubts() == ([words] if words else [])


def test_clock_and_heat_are_those_of_work_not_of_the_moment_in_which_others_are_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rested = False

    def rest() -> tuple[float | None, list[str]]:
        nonlocal rested
        rested = True
        return 0.0, []

    monkeypatch.setattr(conditions, "usage", rest)
    monkeypatch.setattr(conditions, "frequency_mhz", lambda: 600.0 if rested else 1800.0)
    monkeypatch.setattr(conditions, "temperature_c", lambda: 50.0 if rested else 80.0)
    monkeypatch.setattr(conditions, "throttle_flags", lambda: 0 if rested else 0b100)
    seen = conditions.collect()
    assert rested
    assert (seen["frequency_mhz"], seen["temperature_c"], seen["throttle_flags"]) == (1800.0, 80.0, 0b100)


def test_who_comes_while_files_are_measured_is_seen_after_the_last() -> None:
    quiet, apt = Snapshot(busy=0.02, busy_processes=["cron"]), Snapshot(busy=0.7, busy_processes=["apt"])
    for before, after in ((quiet, apt), (apt, quiet)):
        made = conditions_of(before, after, stable=True)
        assert (made.busy_before, made.busy_after, made.busy_processes) == (before.busy, after.busy, ["apt"])
        assert made.doubts() == ["others used 70 % of its processors (apt)"]
    assert not conditions_of(quiet, quiet, stable=True).doubts()
