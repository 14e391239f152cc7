from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
from ssh_server import Server, Wire, free_port

from edgedistil.bench.cases import Case, Grid, cases_of, grid_cases
from edgedistil.bench.measurement import speedup
from edgedistil.bench.process import CaseError
from edgedistil.bench.scores import Examples
from edgedistil.bench.session import run_bench
from edgedistil.bench.settings import BenchSettings
from edgedistil.bench.transport import LinkError
from edgedistil.bundle import Bundle
from edgedistil.devices import remote as remote_module
from edgedistil.devices.ssh import SshDevice, SshTransport
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.progress import SilentProgress

Make = Callable[..., SshDevice]
DROPS = 2


def runners(folder: Path) -> list[int]:
    """The workers that run from a device's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            # The workers themselves, not the ssh that carries their command as one word.
            runner = any(word.startswith(os.fsencode(folder)) and word.endswith(b".pyz") for word in words.split(b"\0"))
            if runner and b"--patience" in words.split(b"\0"):
                found.append(int(path.parent.name))
    return found


def wait_gone(folder: Path, seconds: float = 8) -> bool:
    end = time.monotonic() + seconds
    while runners(folder) and time.monotonic() < end:
        time.sleep(0.05)
    return not runners(folder)


def test_a_bundle_is_measured_over_ssh_as_it_is_here(
    device: Make, bundle: Bundle, quick: BenchSettings, tmp_path: Path
) -> None:
    pi = device()
    cases, _ = grid_cases(bundle, Grid([pi.threads], [8], [1, 2]), ["onnx-fp32"])
    single, offline = pi.bench(cases, Examples.of(bundle), quick).complete()
    (here,) = run_bench(cases_of(bundle, 1, 8, ["onnx-fp32"]), Examples.of(bundle), quick).complete()
    assert single.predictions == offline.predictions == here.predictions
    assert (single.batch, single.scenario) == (1, "single-stream")
    assert (offline.batch, offline.scenario) == (2, "offline")
    assert offline.throughput_per_second == pytest.approx(2000 * len(offline.samples_ms) / sum(offline.samples_ms))
    assert single.device == here.device == pi.facts()
    assert single.peak_memory_mb > 10
    assert single.tokenise_ms is None
    assert here.tokenise_ms
    assert speedup(single, offline).value > 0
    there = tmp_path / "there"
    assert not list(there.glob("kept/*"))
    assert not list(there.rglob("*.part"))
    assert wait_gone(there)


def test_what_is_there_already_is_not_copied_again(
    device: Make, bundle: Bundle, quick: BenchSettings, server: Server
) -> None:
    wire = Wire(server.port)
    pi = device(config=server.write_config(wire.port))
    (case, *_) = cases_of(bundle, 1, 8)
    big = case.path.parent / "ballast"
    big.write_bytes(os.urandom(400_000))
    remote = pi.remote()
    with remote.link:
        remote.bring([case.path, big], SilentProgress())
        first = wire.bytes
        remote.bring([case.path, big], SilentProgress())
        second = wire.bytes - first
        place = Path(remote.place(big))
    assert first > 400_000
    assert second < 50_000
    assert place.read_bytes() == big.read_bytes()
    big.unlink()
    wire.close()


def test_a_link_that_drops_again_and_again_leaves_the_same_records(
    device: Make, bundle: Bundle, server: Server, tmp_path: Path
) -> None:
    wire = Wire(server.port)
    pi = device(config=server.write_config(wire.port))
    settings = BenchSettings(relative_width=1e-9, max_seconds=1.5, min_blocks=3, block_seconds=0.03, warmup_seconds=0.1)
    cases, cuts, over = cases_of(bundle, 1, 8, ["onnx-fp32"]), [], threading.Event()

    def cut() -> None:
        while len(cuts) < DROPS and not over.wait(random.Random(len(cuts)).uniform(1, 2.5)):
            wire.cut()
            cuts.append(len(runners(tmp_path / "there")))

    thread = threading.Thread(target=cut)
    thread.start()
    while len(cuts) < DROPS:
        (record,) = pi.bench(cases, Examples.of(bundle), settings).complete()
    over.set()
    thread.join()
    wire.close()
    (here,) = run_bench(cases, Examples.of(bundle), settings.model_copy(update={"max_seconds": 0.2})).complete()
    assert (record.name, record.sha256, record.predictions) == (here.name, here.sha256, here.predictions)
    assert sum(record.blocks) == len(record.samples_ms)
    assert sum(record.samples_ms) >= 1500
    assert wait_gone(tmp_path / "there")


@pytest.mark.parametrize("version", [onnxruntime.__version__, "0.0"])
def test_an_answer_kept_on_the_device_is_not_worked_out_again_but_by_another_version_of_its_runtime(
    device: Make, bundle: Bundle, quick: BenchSettings, version: str
) -> None:
    pi, (case, *_) = device(), cases_of(bundle, 1, 8)
    examples = Examples.of(bundle)
    assert examples
    remote = pi.remote()
    with remote.link:
        transport = SshTransport(pi.profile, remote)
        place = Path(transport.keep(case, version, examples.tokens, quick.evaluation_batch) or "")
        place.parent.mkdir(parents=True)
        place.write_text('{"ids": ["not", "these"], "kind": "class", "outputs": [0, 1]}')
        result = run_bench([case], examples, quick, None, transport)
    if version == onnxruntime.__version__:
        assert "other examples than it was asked" in str(result.failures[case.name])
    else:
        assert not result.failures


SCRIPT = """
import signal, sys
from edgedistil.bench.cases import cases_of
from edgedistil.bench.scores import Examples
from edgedistil.bench.settings import BenchSettings
from edgedistil.bundle import open_bundle
from edgedistil.devices import connect, read_profile
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
settings = BenchSettings(relative_width=1e-9, max_seconds=60)
bundle = open_bundle({bundle!r})
connect(read_profile(Path({profile!r}))).bench(cases_of(bundle, 1, 8), Examples.of(bundle), settings)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_runs_there_after_an_interrupted_bench(
    device: Make, bundle: Bundle, number: signal.Signals, tmp_path: Path
) -> None:
    profile, there = device().profile, tmp_path / "there"
    path = tmp_path / "pi.yaml"
    path.write_text(f"kind: ssh\nhost: device\nconfig: {profile.config}\npython: {sys.executable}\nfolder: {there}\n")
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(bundle=str(bundle.folder), profile=str(path))],
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 20
    while len(runners(there)) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert runners(there)
    os.killpg(process.pid, number)
    process.wait(10)
    assert wait_gone(there)


def test_a_worker_that_is_killed_there_is_told_from_a_broken_link(device: Make, bundle: Bundle, tmp_path: Path) -> None:
    settings = BenchSettings(relative_width=1e-9, max_seconds=20, warmup_seconds=0.1)
    there = tmp_path / "there"

    def kill() -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(ProcessLookupError):
                for pid in runners(there):
                    if not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"timeout"):
                        os.kill(pid, signal.SIGKILL)
                        return
            time.sleep(0.02)

    thread = threading.Thread(target=kill)
    thread.start()
    result = device().bench(cases_of(bundle, 1, 8)[:1], Examples.of(bundle), settings)
    thread.join()
    assert "its worker died of SIGKILL" in str(result.failures["ONNX fp32"])


def test_a_link_that_stays_down_keeps_what_was_finished(
    device: Make, bundle: Bundle, quick: BenchSettings, server: Server, tmp_path: Path
) -> None:
    wire = Wire(server.port)
    pi = device(config=server.write_config(wire.port), retry_seconds=0.5)
    cases = cases_of(bundle, 1, 8)
    settings = quick.model_copy(update={"relative_width": 1e-9, "max_seconds": 30})
    cases = cases[:1]

    def close() -> None:
        while not runners(tmp_path / "there"):
            time.sleep(0.05)
        time.sleep(2)
        wire.close()

    threading.Thread(target=close, daemon=True).start()
    result = pi.bench(cases, Examples.of(bundle), settings)
    assert set(result.failures) == {case.name for case in cases}
    assert "cannot be reached" in str(result.failures["ONNX fp32"])


@pytest.mark.parametrize(
    ("changes", "words", "kind"),
    [
        ({"host": "no-such-host.invalid"}, "no such host (ssh: Could not resolve", UsageError),
        ({"port": -1}, "it cannot be reached (ssh: connect to host 127.0.0.1", LinkError),
        ({"host_key": "other_key"}, "its host key is another than the one known", UsageError),
        ({"host_key": ""}, "its host key is not known here", UsageError),
        ({"key": "other_key"}, "it refuses our key (", UsageError),
        ({"config": Path("/none/at/all")}, "its ssh configuration cannot be used", UsageError),
        ({"python": "python0"}, "no python0 there that can be started", EdgeDistilError),
        ({"machine": "sparc"}, "its profile says sparc; correct", UsageError),
        ({"folder": "/proc/none"}, "check that /proc/none can be written there", EdgeDistilError),
    ],
)
def test_what_cannot_work_is_one_line(
    changes: dict, words: str, kind: type, device: Make, server: Server, bundle: Bundle
) -> None:
    wire = {name: changes.pop(name) for name in ("key", "host_key") if name in changes}
    if changes.get("port"):
        changes["port"] = free_port()
    pi = device(**changes)
    if wire:
        server.write_config(**wire)
    with pytest.raises(EdgeDistilError) as caught:
        pi.bench(cases_of(bundle, 1, 8), None)
    assert isinstance(caught.value, kind)
    line = str(caught.value)
    assert line.startswith("pi")
    assert words in line
    assert "\n" not in line


def test_a_full_disk_and_a_bad_copy_are_told(device: Make, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle.path("onnx-fp32")
    remote = device().remote()
    with remote.link:
        part = Path(f"{remote.place(path)}.part")
        part.parent.mkdir(parents=True)
        part.symlink_to("/dev/full")
        with pytest.raises(EdgeDistilError, match="its disk is full; free some room there"):
            remote.bring([path], SilentProgress())
        part.unlink()
        part.write_bytes(b"junk")
        with pytest.raises(EdgeDistilError, match="has another sha256 than the file"):
            remote.bring([path], SilentProgress())
        part.write_bytes(path.read_bytes()[:100])
        remote.bring([path], SilentProgress())
        assert Path(remote.place(path)).read_bytes() == path.read_bytes()
        shutil.rmtree(part.parent)
        monkeypatch.setattr(remote_module, "_SPARE_BYTES", 10**15)
        with pytest.raises(EdgeDistilError, match=r"its disk is too full: 0 MB to copy, \d+ MB free"):
            remote.bring([path], SilentProgress())


def test_a_missing_runtime_there_leaves_the_other_files(
    device: Make, bundle: Bundle, quick: BenchSettings, tmp_path: Path
) -> None:
    blind = tmp_path / "python"
    blind.write_text(f'#!/bin/sh\nexec env PYTHONPATH={tmp_path}/hidden {sys.executable} "$@"\n')
    blind.chmod(0o755)
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/ai_edge_litert.py").write_text("raise ImportError('not here')\n")
    lite = Case("TFLite", "b", Path(__file__).parents[1] / "tiny.tflite", "tflite-fp32", "litert", 1, 8)
    torch = Case("torch", "b", lite.path, "pytorch", "pytorch", 1, 8, worker_module="edgedistil.models.worker")
    result = device(python=str(blind)).bench([lite, torch, *cases_of(bundle, 1, 8)[:1]], Examples.of(bundle), quick)
    assert [record.name for record in result.measurements] == ["ONNX fp32"]
    missing = result.failures["TFLite"]
    assert "no LiteRT is installed" in str(missing)
    assert isinstance(missing, CaseError)
    assert not missing.refused
    assert "pytorch runs on this machine alone" in str(result.failures["torch"])
