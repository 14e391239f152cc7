"""Which relative paths a bundle may name: plain ones that stay inside its folder on every system."""

from __future__ import annotations

import re
from pathlib import Path

MANIFEST_NAME = "edgedistil.json"
CARD_NAME = "README.md"

PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill"})
"""Suffixes of files that may execute code when they are loaded."""

PROGRAMS = frozenset({".py", ".pyc", ".so", ".dll", ".dylib", ".exe", ".sh"})
"""Suffixes of files that are code."""

LOADED = frozenset({".onnx", ".tflite", ".safetensors", ".json", ".npz", ".npy", ".onnx_data", ".data", ".h5", ".gguf"})
"""Suffixes of files that tools load from a folder without being told to."""

_PART = re.compile(r"[A-Za-z0-9_+@=,(){}\[\] .-]{1,128}")
_MOST_CHARACTERS = 512
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def check_path(path: str) -> str:
    """Returns `path` when a bundle may name it.

    Args:
        path: Relative POSIX path, such as `onnx/model.onnx`.

    Raises:
        ValueError: When it is absolute, leaves the folder, is not in normal form, is spelt in
            characters that differ between systems, or is a pickle or a program.
    """
    if len(path) > _MOST_CHARACTERS:
        raise ValueError(f"path of {len(path)} characters is too long")
    for part in path.split("/"):
        if part in ("", ".", "..") or not _PART.fullmatch(part):
            raise ValueError(f"path {path!r} is not a plain path inside the bundle")
        if part[-1] in " ." or part[0] in " ." or _RESERVED.fullmatch(part):
            raise ValueError(f"path {path!r} is hidden, or has a name that not every system allows")
    suffix = Path(path).suffix.lower()
    if suffix in PICKLES:
        raise ValueError(f"path {path!r} is a pickle, which may run code; store safetensors")
    if suffix in PROGRAMS:
        raise ValueError(f"path {path!r} is a program; a bundle holds none")
    if path in (MANIFEST_NAME, CARD_NAME):
        raise ValueError(f"path {path!r} is written by edgedistil itself")
    return path


def dangerous(path: Path) -> bool:
    """Returns whether a file that no manifest lists should stop a reader: weights, settings or code."""
    return path.suffix.lower() in LOADED | PICKLES | PROGRAMS or path.name.endswith("_data")
