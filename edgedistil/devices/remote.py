"""What edgedistil keeps on a device: the runner, the files it was sent, and answers that outlive a broken link."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from edgedistil.bench.archive import runner_archive
from edgedistil.devices.link import Link, RemoteError
from edgedistil.devices.turns import turn
from edgedistil.errors import EdgeDistilError
from edgedistil.hashing import hash_file
from edgedistil.progress import Bar, Progress

_SPARE_BYTES = 20_000_000
_NO_PYTHON = (126, 127)


class Remote:
    """A folder on a device.

    Args:
        link: How to reach it.
        folder: Relative to the login's home, or absolute.
        python: The interpreter where `devices setup` has made none; `python3` for None.
        bare: Whether the one that `devices setup` made is left alone.
    """

    def __init__(self, link: Link, folder: str, python: str | None = None, *, bare: bool = False) -> None:
        self.link, self.folder = link, folder.rstrip("/")
        self._python, self._bare = python, bare
        archive = runner_archive()
        self.runner = f"{self.folder}/runner-{hashlib.sha256(archive).hexdigest()[:16]}.pyz"
        self._hashes: dict[Path, str] = {}

    def hash_of(self, path: Path) -> str:
        """Returns the sha256 of a file here, read once."""
        path = path.resolve()
        if path not in self._hashes:
            self._hashes[path] = hash_file(path)
        return self._hashes[path]

    def place(self, path: Path) -> str:
        """Returns where a file of this machine lies there: by its content, so that no two are mistaken."""
        return f"{self.folder}/files/{self.hash_of(path)[:32]}/{path.name}"

    def bare(self) -> Remote:
        """Returns the same folder without its virtual environment, which is to be made anew."""
        return Remote(self.link, self.folder, self._python, bare=True)

    @property
    def system_python(self) -> str:
        """The interpreter that a virtual environment is made with."""
        return self._python or "python3"

    @property
    def venv_mark(self) -> str:
        """The file that tells a virtual environment that `devices setup` made from one of the user's own."""
        return f"{self.folder}/venv/.edgedistil"

    def start(self, arguments: str, environment: str = "") -> str:
        """Returns the shell script that starts the runner, leaving its exit code as it is.

        Args:
            arguments: The runner's, quoted.
            environment: `NAME=value` words before it, such as a `timeout` command's.
        """
        venv = shlex.quote(f"{self.folder}/venv/bin/python")
        chosen = f"P={shlex.quote(self.system_python)}"
        if not self._bare:
            chosen += f"; [ -x {venv} ] && P={venv}"
        # The shell must not be replaced by the runner: it turns a death by signal into an exit code that ssh can carry.
        return f'{chosen}; {environment} "$P" {shlex.quote(self.runner)} {arguments}; exit $?'

    def inspect(self, paths: Iterable[str] = (), libraries: bool = False) -> dict[str, Any]:
        """Looks at the device; see `edgedistil.bench.runner.inspection`.

        Args:
            paths: Files there to be hashed.
            libraries: Whether to import every library.

        Raises:
            EdgeDistilError: When there is no Python that can run the runner.
        """
        self._bring_runner()
        flags = f"inspect --folder {shlex.quote(self.folder)}{' --libraries' * libraries}"
        try:
            answer = self.link.run(self.start(flags), json.dumps(list(paths)).encode())
            found: dict[str, Any] = json.loads(answer)
        except RemoteError as error:
            if error.code in _NO_PYTHON:
                raise EdgeDistilError(
                    f"no {self.system_python} there that can be started",
                    where=self.link.where,
                    cure="install Python >= 3.9 there, or name one with 'python' in its profile",
                ) from error
            raise
        except ValueError as error:
            raise EdgeDistilError(
                "its login prints something before a command's own output",
                where=self.link.where,
                cure="keep its shell's start-up files silent when no one is at a terminal",
            ) from error
        return found

    def bring(
        self, files: Sequence[Path], progress: Progress, judge: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        """Copies files that are not there yet, and checks what arrived; a copy that was cut off is taken up again.

        Args:
            files: Of this machine.
            progress: Where to report.
            judge: Shown the device before anything is copied; raises where it will not do.

        Raises:
            EdgeDistilError: When the disk is full, or what arrived is not what was sent.
            LinkError: When the link broke.
        """
        with turn([*self.link.login.options, self.link.login.host, self.folder], self.link.device, progress):
            self._bring(files, progress, judge)

    def _bring(self, files: Sequence[Path], progress: Progress, judge: Callable[[dict[str, Any]], None] | None) -> None:
        wanted = {self.place(path): path for path in files}
        parts = {f"{place}.part": place for place in wanted}
        found = self.inspect([*wanted, *parts])
        if judge:
            judge(found)
        have = found["files"]
        missing = {
            place: path for place, path in wanted.items() if have.get(place, {}).get("sha256") != self.hash_of(path)
        }
        if not missing:
            return
        done = {place: have.get(f"{place}.part", {}).get("bytes", 0) for place in missing}
        total = sum(path.stat().st_size for path in missing.values())
        self._check_room(total - sum(done.values()), found["free_bytes"])
        with progress.bar(f"copying to {self.link.device}", total) as bar:
            for place, path in missing.items():
                self._copy(path, place, done[place], bar)
        self._adopt(missing)

    def forget(self, places: Iterable[str]) -> None:
        """Removes kept answers, and those of other runs that nobody has come back for in a week."""
        listed = " ".join(map(shlex.quote, places))
        kept = shlex.quote(f"{self.folder}/kept")
        remove = f"rm -f {listed}; " if listed else ""
        self.link.run(f"{remove}[ -d {kept} ] && find {kept} -type f -mtime +7 -exec rm -f {{}} +; true")

    def clean(self) -> None:
        """Removes what was put there, by name: the folder may be one that holds other things too, such as a home."""
        folder, run, entry = shlex.quote(self.folder), "?" * 16, "?" * 32
        ours = [f"runner-{run}.pyz*", f"files/{entry}", f"kept/{entry}.json", f"kept/.{entry}.json.*"]
        removed = " ".join(f"{folder}/{name}" for name in ours)
        venv = f"[ ! -e {shlex.quote(self.venv_mark)} ] || rm -rf {folder}/venv"
        emptied = f"{{ rmdir {folder}/files {folder}/kept {folder} 2>/dev/null; true; }}"
        self.link.run(f"{{ {venv}; }} && rm -rf {removed} && {emptied}")

    def _bring_runner(self) -> None:
        archive, place = runner_archive(), shlex.quote(self.runner)
        there = self.link.run(f"mkdir -p {shlex.quote(self.folder)} && wc -c < {place} 2>/dev/null || true").strip()
        if there != str(len(archive)).encode():
            try:
                # A name that no other run has: both may bring it at once.
                part = f"{place}.$$.part"
                self.link.run(f"cat > {part} && mv {part} {place} || {{ rm -f {part}; exit 1; }}", archive)
            except RemoteError as error:
                raise self._unwritable(error) from error

    def _check_room(self, needed: int, free: int) -> None:
        if needed + _SPARE_BYTES > free:
            raise EdgeDistilError(
                f"its disk is too full: {needed / 1e6:.0f} MB to copy, {free / 1e6:.0f} MB free",
                where=self.link.where,
                cure=f"free some there, or run: edgedistil devices clean {self.link.device}",
            )

    def _copy(self, path: Path, place: str, offset: int, bar: Bar) -> None:
        size = path.stat().st_size
        begun = offset if offset <= size else 0
        folder, part = shlex.quote(str(Path(place).parent)), shlex.quote(f"{place}.part")
        redirect = ">>" if begun else ">"
        bar.advance(begun)
        try:
            self.link.send(path, f"mkdir -p {folder} && cat {redirect} {part}", begun, bar.advance)
        except RemoteError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: RemoteError) -> EdgeDistilError:
        full = "No space left" in error.words
        return EdgeDistilError(
            "its disk is full" if full else error.what,
            where=self.link.where,
            cure="free some room there" if full else f"check that {self.folder} can be written there",
        )

    def _adopt(self, missing: dict[str, Path]) -> None:
        found = self.inspect([f"{place}.part" for place in missing])["files"]
        for place, path in missing.items():
            arrived = found.get(f"{place}.part", {}).get("sha256")
            part, final = shlex.quote(f"{place}.part"), shlex.quote(place)
            if arrived != self.hash_of(path):
                self.link.run(f"rm -f {part}")
                raise EdgeDistilError(
                    f"the copy of {path.name} has another sha256 than the file",
                    where=self.link.where,
                    cure="try again; if it stays so, its storage is failing",
                )
            self.link.run(f"mv {part} {final}")
