"""Says what a device has: Python, libraries, room, and which files are there already. Needs no numpy."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
from typing import Any, Dict, List, Optional, Sequence

_MODULES = {
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "openvino": "openvino",
    "tokenizers": "tokenizers",
}
# An import in a process of its own: a library built for a newer processor dies of an illegal instruction.
_TRY = (
    "import importlib, sys\n"
    "from importlib import metadata\n"
    "importlib.import_module(sys.argv[1])\n"
    "print(metadata.version(sys.argv[2]))\n"
)
_IMPORT_SECONDS = 120
_CHUNK = 1 << 20


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:  # noqa: PTH123, a Path costs an import that every inspection pays
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def library(package: str, module: str) -> Optional[Dict[str, Any]]:
    """Imports a library elsewhere; returns its version, or why it cannot be used, or None where it is not installed.

    Returns:
        `{"version": ...}`, `{"error": "one line"}` or None.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TRY, module, package], capture_output=True, timeout=_IMPORT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": "importing it takes longer than %d s" % _IMPORT_SECONDS}
    if done.returncode == 0:
        return {"version": done.stdout.decode().strip().split("\n")[-1]}
    if done.returncode < 0:
        return {"error": "importing it dies of signal %d" % -done.returncode, "signal": -done.returncode}
    words = done.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
    if words.startswith("ModuleNotFoundError"):
        return None
    return {"error": words[:300]}


def files(paths: Sequence[str]) -> Dict[str, Dict[str, Any]]:
    """Returns size and sha256 of each file that is there."""
    found: Dict[str, Dict[str, Any]] = {}
    for path in paths:
        if os.path.isfile(path):  # noqa: PTH113
            found[path] = {"bytes": os.path.getsize(path), "sha256": _sha256(path)}  # noqa: PTH202
    return found


def free_bytes(folder: str) -> int:
    """Returns the free room where a folder lies or would lie."""
    place = os.path.abspath(folder)  # noqa: PTH100
    while not os.path.isdir(place):  # noqa: PTH112
        place = os.path.dirname(place)  # noqa: PTH120
    return shutil.disk_usage(place).free


def inspect(folder: str, paths: Sequence[str], libraries: bool) -> Dict[str, Any]:
    """Returns what there is, as JSON-able values.

    Args:
        folder: Whose file system's free room is asked for.
        paths: Files that may be there.
        libraries: Whether to import every library, which takes seconds on a small device.
    """
    from importlib import util

    found: Dict[str, Any] = {
        "python": "%d.%d.%d" % sys.version_info[:3],
        "executable": sys.executable,
        "bits": struct.calcsize("P") * 8,
        "machine": os.uname().machine,
        "libc": _libc(),
        "free_bytes": free_bytes(folder),
        "files": files(paths),
        "venv": util.find_spec("venv") is not None and util.find_spec("ensurepip") is not None,
        "pip": util.find_spec("pip") is not None,
        "tools": [name for name in ("timeout", "vcgencmd", "taskset") if shutil.which(name)],
    }
    if sys.version_info >= (3, 9):
        from . import conditions, facts

        found["facts"] = facts.collect()
        found["conditions"] = conditions.collect()
    if libraries:
        found["libraries"] = {package: library(package, module) for package, module in _MODULES.items()}
    return found


def _libc() -> str:
    """Returns the C library's name and version, such as `glibc 2.36`; empty for any but glibc."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        return ""


def main(argv: List[str]) -> int:
    """Prints one JSON object; file names to look at come as a JSON list on standard input."""
    parser = argparse.ArgumentParser(prog="runner inspect")
    parser.add_argument("--folder", default=".")
    parser.add_argument("--libraries", action="store_true")
    chosen = parser.parse_args(argv)
    paths = json.loads(sys.stdin.read() or "[]")
    print(json.dumps(inspect(chosen.folder, paths, chosen.libraries)))
    return 0
