from __future__ import annotations

import contextlib
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgedistil.devices import setup
from edgedistil.devices.architecture import check_machine
from edgedistil.devices.check import findings_of
from edgedistil.devices.profile import DeviceProfile
from edgedistil.devices.remote import Remote
from edgedistil.devices.setup import download_command, platforms, set_up, wanted_packages
from edgedistil.devices.ssh import SshDevice, SshProfile
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.progress import SilentProgress

PI = SshProfile(name="pi5", kind="ssh", host="pi5", machine="aarch64")
LIBRARIES = {
    "numpy": {"version": "2.1.0"},
    "onnxruntime": {"version": "1.20.0"},
    "ai-edge-litert": None,
    "tflite-runtime": None,
}


def seen(**changes: Any) -> dict[str, Any]:
    """What a Pi 5 would tell."""
    return {
        "python": "3.11.2",
        "machine": "aarch64",
        "bits": 64,
        "libc": "glibc 2.36",
        "free_bytes": 5_000_000_000,
        "tools": ["timeout", "vcgencmd"],
        "facts": {"memory_mb": 4000},
        "conditions": {"governor": "ondemand", "temperature_c": 50.0, "busy": 0.01, "throttle_flags": 0x50000},
        "libraries": LIBRARIES,
        **changes,
    }


def judged(profile: DeviceProfile = PI, **changes: Any) -> dict[str, tuple[str, str, str]]:
    return {f.name: (f.level, f.found, f.cure) for f in findings_of(seen(**changes), profile)}


def test_each_thing_that_is_missing_comes_with_its_cure() -> None:
    found = judged()
    assert found["numpy"] == ("ok", "2.1.0", "")
    assert found["onnxruntime"] == ("ok", "onnxruntime 1.20.0", "")
    assert found["litert"] == ("missing", "not installed", "run: edgedistil devices setup pi5")
    assert found["governor"][0] == "advice"
    assert "performance" in found["governor"][2]
    assert found["throttling"][:2] == ("advice", "none now; since boot: under-voltage, throttled")


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"bits": 32}, "architecture", ("missing", "aarch64, 32-bit", "profile says aarch64")),
        ({"machine": "x86_64"}, "architecture", ("missing", "x86_64, 64-bit", "profile says aarch64")),
        ({"free_bytes": 1_000_000}, "free disk", ("missing", "1 MB", "free at least 500 MB")),
        ({"facts": {"memory_mb": 200}}, "memory", ("advice", "200 MB", "--format")),
        ({"tools": []}, "time limit", ("advice", "none", "install coreutils")),
        ({"libraries": {}}, "numpy", ("missing", "not installed", "devices setup pi5")),
        (
            {"libraries": {**LIBRARIES, "onnxruntime": {"error": "importing it dies of signal 4", "signal": 4}}},
            "onnxruntime",
            ("missing", "importing it dies of signal 4", "install a build for this processor"),
        ),
        ({"conditions": {"throttle_flags": 4}}, "throttling", ("advice", "now: throttled", "a cooler")),
        ({"conditions": {"throttle_count": 3}}, "throttling", ("ok", "3 events since boot", "")),
        ({"conditions": {"busy": 0.5, "busy_processes": ["apt"]}}, "others' work", ("advice", "(apt)", "stop what")),
    ],
)
def test_a_device_that_falls_short(changes: dict, name: str, expected: tuple[str, str, str]) -> None:
    level, found, cure = judged(**changes)[name]
    assert level == expected[0]
    assert expected[1] in found
    assert expected[2] in cure


@pytest.mark.parametrize(
    ("machine", "level"),
    [("armv7l", "ok"), ("armv8l", "ok"), ("aarch64", "ok"), ("armv6l", "missing"), ("i686", "missing")],
)
def test_a_check_and_a_bench_agree_on_the_architecture(machine: str, level: str) -> None:
    profile = SshProfile(name="old", kind="ssh", host="old", machine="armv7l")
    assert judged(profile, machine=machine, bits=32)["architecture"][0] == level
    with pytest.raises(UsageError) if level == "missing" else contextlib.nullcontext():
        check_machine(seen(machine=machine, bits=32), profile)


def test_both_precisions_of_openvino_need_its_one_package() -> None:
    profile = SshProfile(name="desk", kind="ssh", host="desk", runtimes=["openvino", "openvino-bf16"])
    missing = judged(profile)
    assert missing["openvino"] == ("missing", "not installed", "run: edgedistil devices setup desk")
    there = judged(profile, libraries={**LIBRARIES, "openvino": {"version": "2026.4.0"}})
    assert {there[name] for name in ("openvino", "openvino-bf16")} == {("ok", "openvino 2026.4.0", "")}


def test_an_old_python_is_all_there_is_to_say() -> None:
    (finding,) = findings_of({"python": "3.7.3"}, PI)
    assert (finding.level, finding.cure) == ("missing", "install Python >= 3.9 there")


def test_wheels_fit_the_device() -> None:
    tags = platforms("aarch64", "glibc 2.36")
    assert tags[0] == "manylinux_2_36_aarch64"
    assert {"manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64"} <= set(tags)
    assert "manylinux_2_37_aarch64" not in tags
    with pytest.raises(UsageError, match="its C library is not glibc"):
        platforms("aarch64", "")
    assert wanted_packages(["onnxruntime", "litert"], 64) == ["numpy", "onnxruntime", "ai-edge-litert"]
    assert wanted_packages(["openvino", "openvino-bf16"], 64) == ["numpy", "openvino"]
    assert wanted_packages(["litert"], 32) == ["tflite-runtime"]
    with pytest.raises(UsageError, match="no wheel of its runtimes is for a 32-bit system"):
        wanted_packages(["onnxruntime"], 32)
    command = download_command(["numpy"], tags[:1], "3.11.2", Path("there"))
    assert command[-3:] == ["--dest", "there", "numpy"]
    assert command[command.index("--python-version") + 1] == "3.11"


@pytest.mark.parametrize(("machine", "bits"), [("aarch64", 64), ("armv6l", 32)])
def test_all_that_is_fetched_fits_the_device(machine: str, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    libraries = {**LIBRARIES, "numpy": {"version": "1.26.4"}}
    told = seen(python="3.9.2", machine=machine, bits=bits, libraries=libraries)
    monkeypatch.setattr(Remote, "inspect", lambda self, paths=(), **options: {**told, "files": {}})
    monkeypatch.setattr(Remote, "bring", lambda self, files, progress: None)
    monkeypatch.setattr(setup, "_fetch", lambda command, remote: commands.append(command))
    monkeypatch.setattr(setup, "_install", lambda *given, **options: None)
    profile = PI.model_copy(update={"machine": machine})
    remote = SshDevice(profile).remote()
    with remote.link:
        set_up(remote, profile, SilentProgress())
        with pytest.raises(UsageError, match=f"it is of architecture {machine}, its profile says riscv64"):
            set_up(remote, PI.model_copy(update={"machine": "riscv64"}), SilentProgress())
    assert "pip" in commands[-1][-2:]
    for command in commands:
        assert command[command.index("--python-version") + 1] == "3.9"
        assert f"linux_{machine}" in command
        assert not any("armv7l" in word for word in command)


def wheel(folder: Path, name: str) -> None:
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name.replace('-', '_')}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def bundled_pip() -> Path:
    """The pip that this Python brings along."""
    bundled = list((Path(json.__file__).parents[1] / "ensurepip/_bundled").glob("pip-*.whl"))
    if not bundled:
        pytest.skip("this Python brings no pip of its own to send")
    return bundled[0]


@pytest.mark.parametrize("python", [None, sys.executable])
def test_a_virtual_environment_is_made_there_without_the_internet(
    python: str | None, device: Callable[..., SshDevice], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip, stale = bundled_pip(), tmp_path / "there/venv/bin/python"
    stale.parent.mkdir(parents=True)
    stale.write_text("#!/bin/sh\nexit 1\n")
    stale.chmod(0o755)
    (tmp_path / "wheels").mkdir()
    wheel(tmp_path / "wheels", "numpy")
    (tmp_path / "wheels" / pip.name).write_bytes(pip.read_bytes())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setattr(setup, "wanted_packages", lambda runtimes, bits: ["numpy"])
    pi = device(python=python)
    remote = pi.remote()
    with remote.link:
        after = set_up(remote, pi.profile, SilentProgress())
        assert after["libraries"]["numpy"] == {"version": "1.0"}
        assert after["libraries"]["onnxruntime"] is None
        assert Path(after["executable"]).is_relative_to(tmp_path / "there/venv")
        assert not list((tmp_path / "there").rglob("*.whl"))
        remote.clean()
    assert not (tmp_path / "there").exists()


def test_a_virtual_environment_of_the_users_own_is_not_made_anew(
    device: Callable[..., SshDevice], tmp_path: Path
) -> None:
    own = tmp_path / "there/venv/pyvenv.cfg"
    own.parent.mkdir(parents=True)
    own.write_text("")
    remote = device(python=sys.executable).remote()
    with remote.link, pytest.raises(UsageError, match="is not one that edgedistil made; remove it there, or name"):
        set_up(remote, PI, SilentProgress())
    assert own.exists()


def test_an_installation_that_fails_leaves_the_python_that_was_there(
    device: Callable[..., SshDevice], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = bundled_pip()

    def fetch(command: list[str], remote: Remote) -> None:
        folder = Path(command[command.index("--dest") + 1])
        (folder / pip.name).write_bytes(pip.read_bytes())
        (folder / "numpy-1.0-py3-none-any.whl").write_bytes(b"no wheel")

    monkeypatch.setattr(setup, "_fetch", fetch)
    monkeypatch.setattr(setup, "wanted_packages", lambda runtimes, bits: ["numpy"])
    pi = device(python=sys.executable)
    remote = pi.remote()
    with remote.link:
        with pytest.raises(EdgeDistilError, match="installing there failed"):
            set_up(remote, pi.profile, SilentProgress())
        assert not (tmp_path / "there/venv").exists()
        assert remote.inspect()["executable"] == sys.executable


def test_wheels_that_cannot_be_had_are_one_line(
    device: Callable[..., SshDevice], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    pi = device(python=sys.executable)
    remote = pi.remote()
    with remote.link, pytest.raises(EdgeDistilError, match="wheels for it could not be fetched") as caught:
        set_up(remote, pi.profile, SilentProgress())
    assert "\n" not in str(caught.value)
