from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from command import typed
from ssh_server import Server

from edgedistil.bench import instructions
from edgedistil.bench.measurement import read_measurements
from edgedistil.bundle import Bundle
from edgedistil.cli.bench import numbers
from edgedistil.cli.measure import refuse_doubtful
from edgedistil.devices.emulated import unavailable
from edgedistil.errors import EdgeDistilError, UsageError


@pytest.fixture
def workspace(server: Server, tmp_path: Path) -> Path:
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices/pi.yaml").write_text(
        f"kind: ssh\nhost: device\nconfig: {server.write_config()}\nfolder: {tmp_path}/there\n"
        f"python: {sys.executable}\nruntimes: [onnxruntime]\n"
    )
    return tmp_path


def test_a_device_is_checked_benched_and_cleaned(workspace: Path, bundle: Bundle) -> None:
    checked = typed(["devices", "check", "pi", "--json"], workspace)
    assert checked.returncode == 0, checked.stderr
    levels = {row["name"]: row["level"] for row in json.loads(checked.stdout)}
    assert levels["onnxruntime"] == levels["numpy"] == "ok"
    options = ["--device", "pi", "--threads", "1", "--sequence-length", "8", "--batch", "2"]
    options += ["--format", "onnx-int8", "--seconds", "0.2", "--output", "found.jsonl", "--json"]
    done = typed(["bench", str(bundle.folder), *options], workspace)
    assert done.returncode == 0, done.stderr
    records = read_measurements(workspace / "found.jsonl")
    assert [record.name for record in records] == ["ONNX int8"]
    doubtful = [
        record.model_copy(update={"conditions": record.conditions.model_copy(update=STRAIN)}) for record in records
    ]
    with pytest.raises(EdgeDistilError, match=r"ONNX int8: it was throttled \(under-voltage\)"):
        refuse_doubtful(doubtful)
    assert records[0].batch == 2
    assert (workspace / "there/files").is_dir()
    assert typed(["devices", "clean", "pi"], workspace).stdout.startswith("removed ")
    assert not (workspace / "there").exists()


STRAIN = {"throttled": True, "throttled_by": ["under-voltage"], "busy_before": 0.0, "stable": True}


def test_only_a_device_behind_ssh_can_be_looked_after(workspace: Path) -> None:
    done = typed(["devices", "check", "local"], workspace)
    assert done.returncode == 2
    assert "device 'local' is of kind local; this is for devices reached through ssh" in done.stderr


def test_lists_of_numbers_are_read() -> None:
    assert numbers("1, 2,4,2", "--threads") == (1, 2, 4)
    assert numbers(None, "--threads") == ()
    for text in ("", "0", "1,x", "-1", "1,,2"):
        with pytest.raises(UsageError, match=f"--batch is '{text}'; give whole numbers"):
            numbers(text, "--batch")


def test_only_an_emulated_device_can_be_brought_up(workspace: Path) -> None:
    done = typed(["devices", "up", "pi"], workspace)
    assert done.returncode == 2
    assert "device 'pi' is of kind ssh; this is for emulated ones, such as emulated-pi5" in done.stderr


def test_an_emulated_device_is_checked_here(workspace: Path) -> None:
    (workspace / "devices/pi9.yaml").write_text("kind: emulated\ncpu: cortex-a76\n")
    done = typed(["devices", "check", "pi9", "--json"], workspace)
    levels = {row["name"]: row["level"] for row in json.loads(done.stdout)}
    lacking = {"emulation": unavailable(), "instruction counts": instructions.missing()}
    assert {name for name, level in levels.items() if level != "ok"} == {name for name in lacking if lacking[name]}
    assert done.returncode == (1 if lacking["emulation"] else 0)
