from __future__ import annotations

import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgedistil.bundle import Bundle
from edgedistil.devices.ssh import SshDevice
from edgedistil.errors import EdgeDistilError
from edgedistil.progress import Bar, Progress, SilentProgress

Make = Callable[..., SshDevice]


def test_clean_takes_nothing_that_is_not_edgedistils(device: Make, bundle: Bundle, tmp_path: Path) -> None:
    there, entry = tmp_path / "there", "0123456789abcdef" * 2
    remote = device().remote()
    with remote.link:
        remote.bring([bundle.path("onnx-fp32")], SilentProgress())
        ours = [
            *("runner-0123456789abcdef.pyz", "runner-0123456789abcdef.pyz.part", "venv/.edgedistil", "venv/pyvenv.cfg"),
            *(f"files/{entry}/model.onnx.part", f"kept/{entry}.json", f"kept/.{entry}.json.7"),
        ]
        others = {"notes.txt", "runner-up.txt", "files/mine.txt", "kept/mine.json"}
        for name in [*ours, *others]:
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            (there / name).write_text("")
        remote.clean()
        assert {path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()} == others
        assert {path.name for path in there.iterdir()} == {"notes.txt", "runner-up.txt", "files", "kept"}
        for name in others:
            (there / name).unlink()
        remote.clean()
        assert not there.exists()
        remote.clean()


def test_clean_leaves_a_virtual_environment_of_the_users_own(device: Make, tmp_path: Path) -> None:
    own = tmp_path / "there/venv/pyvenv.cfg"
    own.parent.mkdir(parents=True)
    own.write_text("")
    remote = device().remote()
    with remote.link:
        remote.inspect()
        remote.clean()
    assert [path.name for path in (tmp_path / "there").rglob("*")] == ["venv", "pyvenv.cfg"]


def test_two_runs_that_bring_the_runner_at_once_do_not_meet(device: Make) -> None:
    remote = device().remote()
    # What another run writes at this moment, in a form that cannot be written over.
    Path(f"{remote.runner}.part").mkdir(parents=True)
    with remote.link:
        assert remote.inspect()["files"] == {}
        assert Path(remote.runner).is_file()


def test_a_tilde_is_the_logins_home(device: Make, tmp_path: Path) -> None:
    def at_home(path: str | Path) -> str:
        return f"~/{os.path.relpath(path, Path.home())}"

    remote = device(folder=at_home(tmp_path / "there"), python=at_home(sys.executable)).remote()
    with remote.link:
        assert remote.inspect()["python"] == platform.python_version()
        assert Path(Path.home(), remote.runner).resolve().parent == (tmp_path / "there").resolve()
        remote.clean()
    assert not (tmp_path / "there").exists()


class Halting(SilentProgress):
    """Stops a copy after its first chunk."""

    def __init__(self) -> None:
        self.begun, self.resume = threading.Event(), threading.Event()

    @contextmanager
    def bar(self, description: str, total: float) -> Iterator[Bar]:
        yield self

    def describe(self, text: str) -> None:
        pass

    def advance(self, amount: float = 1) -> None:
        if amount:
            self.begun.set()
            self.resume.wait(30)


class Listening(SilentProgress):
    """Knows when a line has been said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.said = threading.Event()

    def say(self, line: str) -> None:
        self.lines.append(line)
        self.said.set()


def test_two_runs_that_copy_the_same_file_take_turns(device: Make, tmp_path: Path) -> None:
    big, pi = tmp_path / "ballast", device()
    big.write_bytes(os.urandom(2_000_000))
    faults: list[EdgeDistilError] = []

    def bring(progress: Progress) -> None:
        remote = pi.remote()
        try:
            with remote.link:
                remote.bring([big], progress)
        except EdgeDistilError as error:
            faults.append(error)

    halting, listening = Halting(), Listening()
    first, second = (threading.Thread(target=bring, args=(progress,)) for progress in (halting, listening))
    first.start()
    assert halting.begun.wait(30)
    second.start()
    listening.said.wait(5)
    halting.resume.set()
    first.join()
    second.join()
    assert not faults
    assert listening.lines == ["edgedistil: another run copies to pi; waiting for it"]
    assert Path(pi.remote().place(big)).read_bytes() == big.read_bytes()
