"""Opening a bundle: nothing in it is believed before its hash, size and place are checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.manifest import SCHEMA_VERSION, FileRecord, Manifest
from edgedistil.bundle.paths import CARD_NAME, MANIFEST_NAME, dangerous
from edgedistil.bundle.records import check, read_json
from edgedistil.errors import UsageError
from edgedistil.hashing import hash_file

EVALUATION_PATH = "evaluation/dev.npz"
ANSWERS_PATH = "evaluation/dev.jsonl"
_REMAKE = "copy or export the bundle again"


@dataclass(frozen=True)
class Bundle:
    """An opened bundle.

    Attributes:
        folder: Where it lies.
        manifest: Its `edgedistil.json`.
    """

    folder: Path
    manifest: Manifest

    @property
    def formats(self) -> list[str]:
        """Returns the names of the formats it holds, in the order of `FORMATS`."""
        return [name for name in FORMATS if self.manifest.record(name)]

    def path(self, format_name: str) -> Path:
        """Returns the file of a format.

        Raises:
            UsageError: When the bundle has none; the line lists those it has.
        """
        record = self.manifest.record(format_name)
        if record is None:
            held = ", ".join(self.formats) or "none"
            raise UsageError(
                f"no file of format '{format_name}' in this bundle", where=str(self.folder), cure=f"it has: {held}"
            )
        return self.folder / record.path

    def has(self, path: str) -> bool:
        """Returns whether the manifest lists a file at this relative path."""
        return any(record.path == path for record in self.manifest.files)

    @property
    def evaluation_path(self) -> Path | None:
        """Returns the evaluation set (`evaluation/dev.npz`), or None when it was left out."""
        return self.folder / EVALUATION_PATH if self.has(EVALUATION_PATH) else None

    @property
    def answers_path(self) -> Path | None:
        """Returns the evaluation set's texts and right answers (`evaluation/dev.jsonl`), or None where it has none."""
        return self.folder / ANSWERS_PATH if self.has(ANSWERS_PATH) else None

    @property
    def tokenizer_path(self) -> Path | None:
        """Returns `tokenizer.json`, or None when there is none."""
        return self.folder / "tokenizer.json" if self.has("tokenizer.json") else None


def open_bundle(folder: Path | str, verify: bool = True) -> Bundle:
    """Opens a bundle and checks it.

    Args:
        folder: The bundle's folder.
        verify: Hash every file. Sizes, places and unlisted files are checked in any case.

    Returns:
        The bundle, every listed file being there, inside the folder and as it was written.

    Raises:
        UsageError: When the folder is no bundle, the manifest cannot be used, or a file is
            missing, changed, outside the folder, or of a loadable kind and not listed, or a folder is a link.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError("no such folder", where=str(folder), cure="name a bundle's folder, such as runs/NAME/bundle")
    bundle = Bundle(folder, read_manifest(folder))
    for record in bundle.manifest.files:
        _check_file(folder, record, verify=verify)
    listed = {record.path for record in bundle.manifest.files}
    for stray in _unlisted(folder, listed):
        name = stray.relative_to(folder).as_posix()
        if stray.is_dir():
            raise UsageError(f"'{name}' is a link to a folder", where=str(folder), cure="put the folder itself there")
        if dangerous(stray):
            raise UsageError(
                f"'{name}' is not listed in {MANIFEST_NAME}", where=str(folder), cure="move it out of the bundle"
            )
    return bundle


def read_manifest(folder: Path) -> Manifest:
    """Reads and checks a bundle's manifest alone.

    Raises:
        UsageError: When it is missing, damaged or of an unknown schema version.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise UsageError(
            f"not a bundle: it has no {MANIFEST_NAME}",
            where=str(folder),
            cure="make one with: edgedistil run RECIPE",
        )
    return check(read_json(path, what="bundle manifest"), Manifest, where=str(path), version=SCHEMA_VERSION)


def _check_file(folder: Path, record: FileRecord, *, verify: bool) -> None:
    path = folder / record.path
    where = str(path)
    if not path.is_file():
        raise UsageError(f"missing, though {MANIFEST_NAME} lists it", where=where, cure=_REMAKE)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UsageError("is a link that leaves the bundle's folder", where=where, cure="put the file itself there")
    size = path.stat().st_size
    if size != record.bytes:
        raise UsageError(f"has {size} bytes where {MANIFEST_NAME} says {record.bytes}", where=where, cure=_REMAKE)
    if verify and hash_file(path) != record.sha256:
        raise UsageError(f"its sha256 is not the one in {MANIFEST_NAME}: it was changed", where=where, cure=_REMAKE)


def _unlisted(folder: Path, listed: set[str]) -> Iterator[Path]:
    """Yields what is not listed; a linked folder as itself, as what lies behind it is not looked through."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        looked_through = path.is_dir() and not path.is_symlink()
        if looked_through or hidden or "/".join(parts) in (MANIFEST_NAME, CARD_NAME) or "/".join(parts) in listed:
            continue
        yield path


def unlisted_files(bundle: Bundle) -> list[Path]:
    """Returns the files in a bundle's folder that it does not own, hidden ones left out."""
    return list(_unlisted(bundle.folder, {record.path for record in bundle.manifest.files}))
