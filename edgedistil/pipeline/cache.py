"""The stage cache: finished stages by key, unfinished ones apart, nothing half done in sight."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.pipeline.folders import fault_of
from edgedistil.pipeline.locks import UNUSABLE, alone, removing, stage_lock, using
from edgedistil.pipeline.processes import is_main, meet, wait_for
from edgedistil.pipeline.stage import Stage, StageContext
from edgedistil.progress import Progress, SilentProgress

_RECORD = "stage.json"


@dataclass(frozen=True)
class Finished:
    """A stage's result on disk.

    Attributes:
        folder: Its files.
        name: The stage's name.
        key: The stage's key.
        version: The stage's version.
        seconds: Time it took, over every start.
        parameters: What it was made with.
        summary: What its work returned.
        reused: True when this run found it done.
    """

    folder: Path
    name: str
    key: str
    version: int
    seconds: float
    parameters: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    reused: bool = True

    @property
    def record(self) -> Path:
        """Returns the file that tells all this, and that it is done."""
        return self.folder / _RECORD


@dataclass(frozen=True)
class Entry:
    """A stage's folder in the cache.

    Attributes:
        folder: Its files.
        name: The stage's name.
        key: The stage's key, of which only the first 16 digits are known without a record.
        seconds: Time it took; None where its record is missing or damaged: it is no result, and can only be removed.
    """

    folder: Path
    name: str
    key: str
    seconds: float | None


class StageCache:
    """Finished and unfinished stages below one folder.

    Args:
        root: The workspace's `.edgedistil/`, or what EDGEDISTIL_CACHE names.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._stages = root / "stages"
        self._partial = root / "partial"

    @property
    def downloads(self) -> Path:
        """Returns the folder of fetched files."""
        return self.root / "downloads"

    def find(self, stage: Stage) -> Finished | None:
        """Returns a stage's result when it is done, else None."""
        return self._read(self._stages / _folder_name(stage))

    def run(self, stage: Stage, progress: Progress) -> Finished:
        """Returns a stage's result, doing its work when it is not done.

        Work goes to a temporary folder that is renamed into place, so a killed run leaves no half stage. Its
        scratch folder stays for the next start.

        Raises:
            EdgeDistilError: When the disk is full, or another run is at the same stage; and whatever the work raises.
        """
        found = self.find(stage)
        if found:
            return found
        if not is_main():
            return self._assist(stage)
        inputs = {name: self._stages / _folder_name(before) for name, before in stage.inputs.items()}
        partial = self._partial / _folder_name(stage)
        with _disk_errors(stage, self.root), stage_lock(partial.with_name(f"{partial.name}.lock"), stage.name):
            # Another run may have done it since, and let go of the lock.
            found = self.find(stage)
            if found:
                return found
            self._check_space(stage)
            return self._work(stage, partial, inputs, progress)

    def _work(self, stage: Stage, partial: Path, inputs: dict[str, Path], progress: Progress) -> Finished:
        folder, scratch = partial / "work", partial / "scratch"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        scratch.mkdir(exist_ok=True)
        before = _spent(scratch)
        started = time.monotonic()
        try:
            summary = stage.work(StageContext(folder, scratch, inputs, progress))
            if stage.together:
                meet()
        finally:
            if scratch.is_dir() and any(scratch.iterdir()):
                (scratch / "seconds").write_text(str(before + time.monotonic() - started))
        done = Finished(
            folder=self._stages / _folder_name(stage),
            name=stage.name,
            key=stage.key,
            version=stage.version,
            seconds=round(before + time.monotonic() - started, 3),
            parameters=dict(stage.parameters),
            summary=summary,
            reused=False,
        )
        record = {name: value for name, value in asdict(done).items() if name not in ("folder", "reused")}
        (folder / _RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        self._stages.mkdir(parents=True, exist_ok=True)
        # What lies there has no record, or it would have been found: it is no result.
        shutil.rmtree(done.folder, ignore_errors=True)
        folder.rename(done.folder)
        shutil.rmtree(partial, ignore_errors=True)
        return done

    def _assist(self, stage: Stage) -> Finished:
        """Takes this process's share of a stage that is worked on together; returns the main process's result."""
        if stage.together:
            partial = self._partial / _folder_name(stage)
            inputs = {name: self._stages / _folder_name(before) for name, before in stage.inputs.items()}
            with tempfile.TemporaryDirectory() as folder:
                stage.work(StageContext(Path(folder), partial / "scratch", inputs, SilentProgress()))
            meet()
        return wait_for(lambda: self.find(stage))

    def _check_space(self, stage: Stage) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.root).free
        if stage.effort.disk > free:
            raise EdgeDistilError(
                f"stage '{stage.name}' needs {stage.effort.disk / 1e9:.1f} GB of disk, {free / 1e9:.1f} GB are free",
                where=str(self.root),
                cure="free space, or set EDGEDISTIL_CACHE to a larger disk; earlier stages are kept",
            )

    def used(self) -> AbstractContextManager[None]:
        """Keeps the stages from being removed while a run reads them.

        Raises:
            EdgeDistilError: When the cache's folder cannot be made or written.
        """
        return using(self.root)

    def publishing(self) -> AbstractContextManager[None]:
        """Keeps other runs from putting their results into the workspace meanwhile."""
        # The cache's file system is known to have locks; of the workspace's that is not known.
        return alone(self.root, "published")

    def entries(self) -> list[Entry]:
        """Returns every stage's folder, the newest first."""
        folders = sorted(self._stages.glob("*/"), key=lambda path: path.stat().st_mtime, reverse=True)
        return [self._entry(folder) for folder in folders]

    def _entry(self, folder: Path) -> Entry:
        try:
            found = self._read(folder)
        except UsageError:
            found = None
        if found:
            return Entry(folder, found.name, found.key, found.seconds)
        name, _, digits = folder.name.rpartition("-")
        return Entry(folder, name, digits, None)

    def remove(self, entries: Iterable[Entry], *, partial: bool = False) -> int:
        """Removes stages; returns the bytes freed.

        Args:
            entries: What `entries` has returned.
            partial: What killed runs left as well.

        Raises:
            EdgeDistilError: When a run uses the cache, and nothing is removed; or when a folder cannot be.
        """
        folders = [entry.folder for entry in entries] + ([self._partial] if partial else [])
        there = [folder for folder in folders if folder.is_dir()]
        if not there:
            return 0
        with removing(self.root):
            size = sum(map(folder_bytes, there))
            for folder in there:
                try:
                    # First of all, so that what is left when this is killed does not look done.
                    (folder / _RECORD).unlink(missing_ok=True)
                    shutil.rmtree(folder)
                except OSError as error:
                    raise EdgeDistilError(f"it cannot be removed ({error.strerror})", where=str(folder)) from None
        return size

    def _read(self, folder: Path) -> Finished | None:
        path = folder / _RECORD
        if not path.is_file():
            return None
        try:
            return Finished(folder=folder, **json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise UsageError(
                "the stage's record is damaged", where=str(path), cure=f"remove the folder: rm -r '{folder}'"
            ) from None


def cache_root(workspace: Path, *, writing: bool = True) -> Path:
    """Returns where a workspace's stages are kept: EDGEDISTIL_CACHE, else its `.edgedistil/`.

    Args:
        workspace: Its root.
        writing: Whether anything is to be written there.

    Raises:
        UsageError: When it is no folder, or can be neither made nor written.
    """
    named = os.environ.get("EDGEDISTIL_CACHE")
    root = Path(named).expanduser().resolve() if named else workspace / ".edgedistil"
    fault = fault_of(root, writing=writing)
    if fault:
        raise UsageError(f"the cache's folder {fault}", where=str(root), cure=UNUSABLE)
    return root


def folder_bytes(folder: Path) -> int:
    """Returns the size of a folder's files, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _folder_name(stage: Stage) -> str:
    return f"{stage.name}-{stage.key[:16]}"


def _spent(scratch: Path) -> float:
    try:
        return float((scratch / "seconds").read_text())
    except (FileNotFoundError, ValueError):
        # A disk that became full, or a kill, may have left the file empty.
        return 0.0


@contextmanager
def _disk_errors(stage: Stage, root: Path) -> Iterator[None]:
    """Turns the many faces of a full disk into one line. Libraries in native code raise their own kinds."""
    try:
        yield
    except EdgeDistilError:
        raise
    except Exception as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        if not full and shutil.disk_usage(root).free > 1 << 20:
            raise
        raise EdgeDistilError(
            f"the disk became full in stage '{stage.name}'",
            where=str(root),
            cure="free space and run the same command again; earlier stages are kept",
        ) from error
