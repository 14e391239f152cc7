"""Putting a new bundle in an older one's place, with what a person has put there since."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from edgedistil.bundle.card import render_card
from edgedistil.bundle.manifest import Manifest
from edgedistil.bundle.paths import CARD_NAME, MANIFEST_NAME, dangerous
from edgedistil.bundle.read import read_manifest
from edgedistil.errors import UsageError
from edgedistil.hashing import hash_value

_OLDER_CARD = "README.old.md"


def replace_folder(source: Path, target: Path, card: str | None = None) -> None:
    """Copies a folder beside its place, then swaps it in.

    What a person has put into the bundle that lay there stays, but for files that no reader would have there. So does
    its card where it was edited: in its place while the files are the same, else beside the new one.

    Args:
        source: The new folder.
        target: Its place.
        card: `written_card` of the bundle that was put there; None where that is not known.
    """
    scratch, aside = (target.with_name(f".{target.name}.{word}") for word in ("new", "old"))
    if aside.is_dir() and not target.exists():
        # A kill came between the two renames below.
        aside.rename(target)
    for left in (scratch, aside):
        shutil.rmtree(left, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, scratch)
    if target.is_dir():
        _copy_own(target, scratch, card)
        target.rename(aside)
    scratch.rename(target)
    shutil.rmtree(aside, ignore_errors=True)


def written_card(manifest: Manifest) -> str:
    """Returns what tells later whether the card that a bundle is written with has been edited."""
    return hash_value(render_card(manifest))


def _copy_own(old: Path, new: Path, card: str | None) -> None:
    try:
        manifest = read_manifest(old)
    except UsageError:
        return
    for name in _own(old, manifest):
        if not (new / name).exists():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(old / name, new / name, follow_symlinks=False)
    mine = old / CARD_NAME
    if card and mine.is_file() and _edited(mine, manifest, card):
        same = _files(manifest) == _files(read_manifest(new))
        shutil.copyfile(mine, new / (CARD_NAME if same else _OLDER_CARD))


def _edited(card: Path, manifest: Manifest, written: str) -> bool:
    # A run that was killed may have written it anew, and not have told.
    return hash_value(card.read_text(encoding="utf-8", errors="replace")) not in (written, written_card(manifest))


def _own(folder: Path, manifest: Manifest) -> Iterator[str]:
    listed = {MANIFEST_NAME, CARD_NAME, *(record.path for record in manifest.files)}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if not path.is_dir() and relative.as_posix() not in listed and (hidden or not dangerous(path)):
            yield relative.as_posix()


def _files(manifest: Manifest) -> dict[str, str]:
    return {record.path: record.sha256 for record in manifest.files}
