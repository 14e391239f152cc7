"""Writing a bundle: assembled beside its place, hashed, then renamed there whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import edgedistil
from edgedistil.bundle.card import render_card
from edgedistil.bundle.manifest import (
    Accuracy,
    DatasetRecord,
    FileRecord,
    Manifest,
    ModelShape,
    Parity,
    StageRecord,
)
from edgedistil.bundle.paths import CARD_NAME, MANIFEST_NAME, check_path
from edgedistil.bundle.read import Bundle, open_bundle, read_manifest, unlisted_files
from edgedistil.bundle.records import first_error, write_text
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.hashing import hash_file


@dataclass(frozen=True)
class FileFacts:
    """What is known of a file beside its bytes.

    Attributes:
        format: Which of `FORMATS` it is, or None.
        parity: Against PyTorch, where it was checked.
        accuracy: On the dev set, by the file itself, where it was measured.
    """

    format: str | None = None
    parity: Parity | None = None
    accuracy: Accuracy | None = None


@dataclass(frozen=True)
class BundleDetails:
    """All of a manifest that is not read off the files; the fields are `Manifest`'s.

    Attributes:
        facts: By relative path; a file without an entry has none.
    """

    name: str
    task: str
    labels: list[str]
    max_length: int
    sequence_lengths: list[int]
    recipe: dict[str, Any]
    lineage: list[StageRecord]
    packages: dict[str, str]
    seed: int
    dataset: DatasetRecord
    model: ModelShape
    base_model: str | None = None
    licence: str | None = None
    facts: dict[str, FileFacts] = field(default_factory=dict)


def write_bundle(folder: Path, files: Mapping[str, Path], details: BundleDetails) -> Bundle:
    """Writes a bundle, whole or not at all.

    Args:
        folder: Where it shall lie; an older bundle there is replaced, anything else is kept.
        files: Source of every file, by its relative POSIX path in the bundle.
        details: The rest of the manifest.

    Returns:
        The bundle, read back and verified.

    Raises:
        UsageError: When a path may not be in a bundle, a source is missing, or the folder holds
            something else.
        EdgeDistilError: When the disk is full or the folder cannot be written.
    """
    _check_place(folder)
    _check_sources(files, details)
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        temporary.chmod(0o755)
        records = [_copy(temporary, name, source, details) for name, source in sorted(files.items())]
        _write_manifest(temporary, _manifest(records, details))
        open_bundle(temporary)
        _put_in_place(temporary, folder)
    except OSError as error:
        raise EdgeDistilError(
            f"cannot write the bundle ({error.strerror})", where=str(folder), cure="free space or choose another folder"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return open_bundle(folder, verify=False)


def record_accuracy(bundle: Bundle, accuracies: Mapping[str, Accuracy]) -> Bundle:
    """Writes measured accuracies into a bundle's manifest, and anew its model card.

    A card that a person has edited since it was written is left as it is.

    Args:
        bundle: The bundle; its model files are not touched.
        accuracies: By format name.

    Returns:
        The bundle with its new manifest.

    Raises:
        UsageError: When the bundle holds no file of a format named.
    """
    for name in accuracies:
        bundle.path(name)
    old = bundle.manifest
    files = [
        record.model_copy(update={"accuracy": accuracies[record.format]})
        if record.format is not None and record.format in accuracies
        else record
        for record in old.files
    ]
    return _with_manifest(bundle, old.model_copy(update={"files": files}))


def record_recipe(bundle: Bundle, recipe: Mapping[str, Any]) -> Bundle:
    """Writes a recipe into a bundle's manifest, as `record_accuracy` writes what was measured.

    Args:
        bundle: The bundle.
        recipe: One that makes the same files, and measures or gates them otherwise.
    """
    return _with_manifest(bundle, bundle.manifest.model_copy(update={"recipe": dict(recipe)}))


def _with_manifest(bundle: Bundle, new: Manifest) -> Bundle:
    card = bundle.folder / CARD_NAME
    ours = not card.exists() or card.read_text(encoding="utf-8", errors="replace") == render_card(bundle.manifest)
    _write_manifest(bundle.folder, new, card=ours)
    return Bundle(bundle.folder, new)


def _check_place(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError("is not a folder", where=str(folder), cure="choose another place for the bundle")
    if not folder.exists() or not any(folder.iterdir()):
        return
    cure = "choose another folder, or empty this one"
    try:
        strays = unlisted_files(Bundle(folder, read_manifest(folder)))
    except UsageError:
        raise UsageError("is not empty and not one of edgedistil's bundles", where=str(folder), cure=cure) from None
    if strays:
        name = strays[0].relative_to(folder).as_posix()
        raise UsageError(f"holds '{name}', which is not the bundle's", where=str(folder), cure="move it away first")


def _check_sources(files: Mapping[str, Path], details: BundleDetails) -> None:
    for name, source in files.items():
        try:
            check_path(name)
        except ValueError as error:
            raise UsageError(str(error), where="bundle") from None
        if not source.is_file():
            raise UsageError("no such file", where=str(source), cure=f"it should become '{name}' in the bundle")
    unknown = sorted(set(details.facts) - set(files))
    if unknown:
        raise UsageError(f"facts are given for '{unknown[0]}', which is not among the files", where="bundle")


def _copy(folder: Path, name: str, source: Path, details: BundleDetails) -> FileRecord:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    facts = details.facts.get(name, FileFacts())
    return FileRecord(
        path=name,
        sha256=hash_file(target),
        bytes=target.stat().st_size,
        format=facts.format,
        parity=facts.parity,
        accuracy=facts.accuracy,
    )


def _manifest(records: list[FileRecord], details: BundleDetails) -> Manifest:
    values = {name: value for name, value in vars(details).items() if name != "facts"}
    try:
        return Manifest(
            created=datetime.now(timezone.utc).replace(microsecond=0),
            edgedistil_version=edgedistil.__version__,
            files=records,
            **values,
        )
    except ValidationError as error:
        raise UsageError(first_error(error), where="bundle") from None


def _write_manifest(folder: Path, manifest: Manifest, *, card: bool = True) -> None:
    write_text(folder / MANIFEST_NAME, manifest.model_dump_json(indent=1) + "\n")
    if card:
        write_text(folder / CARD_NAME, render_card(manifest))


def _put_in_place(made: Path, folder: Path) -> None:
    if not folder.exists():
        made.rename(folder)
        return
    # A full folder cannot be renamed onto: the old one steps aside, and back if the new one fails.
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.old."))
    folder.rename(aside / "bundle")
    try:
        made.rename(folder)
    except OSError:
        (aside / "bundle").rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
