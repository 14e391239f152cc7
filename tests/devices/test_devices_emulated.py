"""What an emulated device says of itself and of what it lacks; `e2e/test_e2e_emulated.py` tests that it works."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedistil.bench.runner.facts import cpu_flags, cpu_name, parse_cpuinfo
from edgedistil.devices import connect, load_profile, read_profile
from edgedistil.devices.emulated import BOARDS, EmulatedDevice, bring_up, root, server, unavailable
from edgedistil.errors import EdgeDistilError, UsageError

SHIPPED = Path(__file__).resolve().parents[2] / "devices"


@pytest.mark.parametrize(("cpu", "name"), [("cortex-a72", "Cortex-A72"), ("cortex-a76", "Cortex-A76")])
def test_the_runner_reads_the_processor_it_is_told(cpu: str, name: str):
    found = parse_cpuinfo(BOARDS[cpu].cpuinfo)
    assert cpu_name(found, "unknown") == name
    assert ("asimddp" in cpu_flags(found)) == (cpu == "cortex-a76")
    assert BOARDS[cpu].cpuinfo.count("processor\t:") == 4


@pytest.mark.parametrize(("profile", "cpu"), [("emulated-pi4", "cortex-a72"), ("emulated-pi5", "cortex-a76")])
def test_the_shipped_profiles_are_emulated_on_one_thread(profile: str, cpu: str):
    device = connect(load_profile(profile, [SHIPPED]))
    assert isinstance(device, EmulatedDevice)
    assert (device.profile.cpu, device.threads) == (cpu, 1)


def test_an_unknown_processor_is_one_line(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("kind: emulated\ncpu: cortex-a67\n")
    with pytest.raises(UsageError, match="did you mean 'cortex-a76'") as raised:
        read_profile(path)
    assert "\n" not in raised.value.line()
    with pytest.raises(UsageError, match="no emulated board has a processor 'pentium'"), bring_up("pentium"):
        pass


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(root.os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert unavailable() == ("an emulated device needs more packages; run: apt-get install mmdebstrap qemu-user-static")
    monkeypatch.setattr(server, "_PATH", str(tmp_path))
    assert "openssh-server" in (server.missing() or "")


def test_without_root_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(root.os, "geteuid", lambda: 1000)
    with pytest.raises(EdgeDistilError, match="needs root"), bring_up("cortex-a76", tmp_path / "cache"):
        pass
    assert not (tmp_path / "cache").exists()


def test_a_failed_fetch_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bin_folder, cache = tmp_path / "bin", tmp_path / "cache"
    bin_folder.mkdir()
    for name in ("mmdebstrap", root.QEMU):
        (bin_folder / name).write_text("#!/bin/sh\necho 'E: no such mirror' >&2\nexit 1\n")
        (bin_folder / name).chmod(0o755)
    monkeypatch.setattr(root.os, "geteuid", lambda: 0)
    monkeypatch.setattr(root, "_RUNTIMES", ())
    monkeypatch.setenv("PATH", str(bin_folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(EdgeDistilError, match=r"could not be unpacked \(E: no such mirror\)") as raised:
        root.prepare_root(cache)
    assert "\n" not in raised.value.line()
    assert [path.name for path in cache.iterdir()] == [".lock"]
