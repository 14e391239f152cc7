"""The runner as one file that any Python >= 3.9 can run."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path

import edgedistil.bench.runner

# The same bytes from the same sources, so that a device that has them is not sent them again.
_TIME = (2020, 1, 1, 0, 0, 0)
_MAIN = b"import sys\n\nfrom runner.__main__ import start\n\nsys.exit(start())\n"


@cache
def runner_archive() -> bytes:
    """Returns the runner as a zip that `python FILE` runs, as the standard library's `zipapp` makes them."""
    folder = Path(edgedistil.bench.runner.__file__).parent
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        _add(archive, "__main__.py", _MAIN)
        for path in sorted(folder.rglob("*.py")):
            _add(archive, f"runner/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)
