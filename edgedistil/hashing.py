"""Content hashes: of values and files, the same on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def hash_value(value: Any) -> str:
    """Returns the sha256 of a JSON-able value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """Returns the sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hash_files(files: Mapping[str, Path]) -> str:
    """Returns one sha256 for named files: of their names and contents, not of where they lie."""
    return hash_value({name: hash_file(path) for name, path in files.items()})


def example_id(*parts: str) -> str:
    """Returns 16 hexadecimal digits that name an example by its text alone.

    Two runs, or two machines, give the same example the same id without the text itself being stored.
    """
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]
