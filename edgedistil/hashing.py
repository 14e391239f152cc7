"""Content hashes: of values and files, the same on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgedistil.errors import UsageError

_CHUNK = 1 << 20


def hash_value(value: Any) -> str:
    """Returns the sha256 of a JSON-able value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """Returns the sha256 of a file's bytes.

    Raises:
        UsageError: When it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise UsageError(
            f"it cannot be read ({error.strerror})", where=str(path), cure="make it readable, or copy it again"
        ) from error
    return digest.hexdigest()


def hash_files(files: Mapping[str, Path]) -> str:
    """Returns one sha256 for named files: of their names and contents, not of where they lie."""
    return hash_value({name: hash_file(path) for name, path in files.items()})


def example_id(*parts: str) -> str:
    """Returns 16 hexadecimal digits that name an example by its text alone.

    Two runs, or two machines, give the same example the same id without the text itself being stored.
    """
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]
