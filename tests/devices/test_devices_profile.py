from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from edgedistil.bench.cases import Case
from edgedistil.devices import DeviceProfile, connect, list_profiles, load_profile, profile, read_profile
from edgedistil.devices.local import LocalDevice
from edgedistil.errors import UsageError

SHIPPED = Path(__file__).resolve().parents[2] / "devices"


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_shipped_profile_is_this_machine_on_all_cores() -> None:
    found = load_profile("local", [SHIPPED])
    device = connect(found)
    assert isinstance(device, LocalDevice)
    assert (found.name, found.kind) == ("local", "local")
    assert device.threads == device.facts().cores


def test_local_is_known_without_a_file_and_a_file_hides_it(tmp_path: Path) -> None:
    assert load_profile("local", []).kind == "local"
    write(tmp_path, "kind: local\nthreads: 1\n", "local.yaml")
    assert connect(load_profile("local", [tmp_path, SHIPPED])).threads == 1


def test_a_profile_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    path = write(tmp_path, "kind: local\ndescription: mine\nruntimes: [litert]\n")
    expected = DeviceProfile(name="mine", kind="local", description="mine", runtimes=["litert"])
    assert load_profile("mine", [SHIPPED, tmp_path]) == load_profile(str(path), []) == expected
    assert [entry.name for entry in list_profiles([tmp_path])] == ["mine"]


def test_the_shipped_profiles_can_all_be_read_and_connected() -> None:
    found = {entry.name: entry for entry in list_profiles([SHIPPED])}
    assert {"local", "pi5", "pi4", "pi-zero-2w", "cuda"} <= set(found)
    assert all(entry.description for entry in found.values())
    assert found["pi-zero-2w"].runtimes == ["litert"]
    assert connect(found["pi5"]).threads == 4
    assert connect(found["cuda"]).threads == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: local\nthread: 2\n", "unknown key 'thread'; did you mean 'threads'?"),
        ("kind: local\nthreads: 0\n", "threads: Input should be greater than or equal to 1"),
        ("kind: locl\n", "unknown kind of device 'locl'; did you mean 'local'?"),
        ("kind: local\nruntimes: [onnx]\n", "unknown runtime 'onnx'; did you mean 'onnxruntime'?"),
        ("kind: local\nruntimes: []\n", "runtimes: List should have at least 1 item"),
        ("threads: 2\n", "unknown kind of device ''"),
        ("- local\n", "a device profile is a mapping of keys"),
        ("", "a device profile is a mapping of keys"),
        ("kind: [local\n", "not valid YAML"),
        ("kind: local\nthreads: 2\nthreads: 4\n", ":3: not valid YAML (the key 'threads' is there twice)"),
        ("kind: ssh\n", "host: Field required"),
        ("kind: ssh\nhost: -oProxyCommand=sh\n", "host: Value error, begins with a dash or holds a space"),
        ("kind: ssh\nhost: pi\nfolder: ~pi/edge\n", "folder: Value error, of homes only the login's own, ~, is known"),
        ("kind: ssh\nhost: pi\npython: -c\n", "python: Value error, begins with a dash"),
        ("kind: ssh\nhost: pi\nport: 0\n", "port: Input should be greater than or equal to 1"),
        ("kind: ssh\nhost: pi\nfoldr: x\n", "unknown key 'foldr'; did you mean 'folder'?"),
        ("kind: cuda\nruntimes: [litert]\n", "unknown runtime 'litert'"),
    ],
)
def test_a_wrong_profile_is_one_line(text: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_profile(path)
    line = str(caught.value)
    assert line.startswith(f"{path}:")
    assert words in line
    assert "\n" not in line


def test_an_absent_or_unreadable_profile_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no device named 'locla'; did you mean 'local'"):
        load_profile("locla", [SHIPPED])
    with pytest.raises(UsageError, match="no such file"):
        load_profile(str(tmp_path / "none.yaml"), [])
    (tmp_path / "latin.yaml").write_bytes(b"kind: \xff\n")
    with pytest.raises(UsageError, match="cannot be read"):
        load_profile("latin", [tmp_path])


def test_a_new_kind_is_one_class_and_one_registration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Remote(DeviceProfile):
        kind: Literal["remote"]
        host: str

    monkeypatch.setattr(profile, "_KINDS", dict(profile._KINDS))
    profile.register("remote", profile.Kind(Remote, LocalDevice))
    found = read_profile(write(tmp_path, "kind: remote\nhost: pi\n"))
    assert isinstance(found, Remote)
    assert found.host == "pi"
    with pytest.raises(UsageError, match="unknown key 'host'"):
        read_profile(write(tmp_path, "kind: local\nhost: pi\n"))


def test_a_device_takes_the_runtimes_it_names_and_workers_brought_along(tmp_path: Path) -> None:
    cases = [
        Case("onnx", "b", tmp_path / "none", "onnx-fp32", "onnxruntime", 1, 8),
        Case("lite", "b", tmp_path / "none", "tflite-fp32", "litert", 1, 8),
        Case("torch", "b", tmp_path / "none", "pytorch", "pytorch", 1, 8, worker_module="somewhere.else"),
    ]
    device = LocalDevice(DeviceProfile(name="x", kind="local", runtimes=["litert"]))
    assert list(device.bench(cases, None).failures) == ["lite", "torch"]
