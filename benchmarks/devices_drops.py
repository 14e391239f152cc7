"""A link that is cut ten times at random moments of a bench, over a real sshd on this machine."""

from __future__ import annotations

import importlib.util
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from edgedistil.bench.cases import Case, cases_of
from edgedistil.bench.measurement import Measurement
from edgedistil.bench.scores import Examples
from edgedistil.bench.settings import BenchSettings
from edgedistil.bundle.read import Bundle
from edgedistil.devices.ssh import SshDevice, SshProfile
from edgedistil.progress import SilentProgress

DROPS = 10
_FORMATS = ("onnx-int8", "tflite-int8")
_GAP_SECONDS = (0.5, 5.0)
_SEED = 0
_SERVER = Path(__file__).resolve().parent.parent / "tests" / "devices" / "ssh_server.py"
_SETTINGS = BenchSettings(relative_width=1e-9, max_seconds=8, min_blocks=3, warmup_seconds=1)


class _Reconnects(SilentProgress):
    """Counts how often the bench found its link broken."""

    def __init__(self) -> None:
        self.count = 0

    def say(self, line: str) -> None:
        """Counts a line that tells of a broken link."""
        self.count += "trying again" in line


def drop_links(bundle: Bundle) -> dict[str, Any]:
    """Benches the int8 files while the link is cut, then undisturbed; returns in how many cases the records differ.

    Where a bench ends before the tenth cut it is made again, and the records of each are compared.
    """
    ssh = _ssh_server()
    cases = cases_of(bundle, 1, bundle.manifest.max_length, _FORMATS)
    noticed, moments = _Reconnects(), list[float]()
    benches: list[list[Measurement]] = []
    with tempfile.TemporaryDirectory(prefix="edgedistil-drops-") as folder, ssh.serve(Path(folder)) as server:
        quiet = _bench(_device(server.write_config(), Path(folder, "undisturbed")), cases, bundle, SilentProgress())
        wire, over = ssh.Wire(server.port), threading.Event()
        started, chance = time.monotonic(), random.Random(_SEED)  # noqa: S311, moments

        def cut() -> None:
            while len(moments) < DROPS and not over.wait(chance.uniform(*_GAP_SECONDS)):
                wire.cut()
                moments.append(round(time.monotonic() - started, 2))

        cutter = threading.Thread(target=cut)
        cutter.start()
        try:
            device = _device(server.write_config(wire.port), Path(folder, "disturbed"))
            while len(moments) < DROPS:
                benches.append(_bench(device, cases, bundle, noticed))
        finally:
            over.set()
            cutter.join()
            wire.close()
    different = [_differing(made, quiet) for made in benches]
    return {
        "drops": len(moments),
        "seconds_of_drops": moments,
        "reconnects": noticed.count,
        "benches": len(benches),
        "examples": quiet[0].accuracy.examples if quiet[0].accuracy else 0,
        "cases": [made.name for made in quiet],
        "different": sum(map(len, different)),
        "records": [_told(made) for made in benches[-1]],
    }


def _bench(device: SshDevice, cases: Sequence[Case], bundle: Bundle, progress: SilentProgress) -> list[Measurement]:
    return device.bench(cases, Examples.of(bundle), _SETTINGS, progress).complete()


def _device(config: Path, folder: Path) -> SshDevice:
    fields = {"name": "here", "kind": "ssh", "host": "device", "config": config, "folder": str(folder), "threads": 1}
    return SshDevice(SshProfile.model_validate({**fields, "python": sys.executable}))


def _differing(made: Sequence[Measurement], quiet: Sequence[Measurement]) -> list[str]:
    """Returns the names of the cases whose file, answers or score are not those of the undisturbed bench."""
    before = {one.name: _answers(one) for one in quiet}
    found = {one.name: _answers(one) for one in made}
    return [name for name in before | found if found.get(name) != before.get(name)]


def _answers(made: Measurement) -> tuple[Any, ...]:
    return made.sha256, made.predictions, made.labels, made.accuracy


def _told(made: Measurement) -> dict[str, Any]:
    return {
        "name": made.name,
        "sha256": made.sha256,
        "predictions": len(made.predictions),
        "accuracy": made.accuracy.value if made.accuracy else None,
        "rounds": len(made.blocks),
    }


def _ssh_server() -> ModuleType:
    """Loads the sshd, and the wire that can be cut, which the tests of devices use."""
    spec = importlib.util.spec_from_file_location("ssh_server", _SERVER)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{_SERVER}: not found")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
