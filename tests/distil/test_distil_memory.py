from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgedistil.distil.memory import release_pages


def held(kind: str = "RssFile") -> int:
    """Returns the bytes that this process holds in memory, by default of mapped files."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("the system has no /proc")
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith(kind))


def test_pages_of_a_mapped_file_are_let_go_of_and_can_be_read_again(tmp_path: Path):
    size = 32 << 20
    table = np.memmap(tmp_path / "table.bin", dtype=np.uint8, mode="w+", shape=(size,))
    table[:] = 7
    view = np.asarray(table)[10:].view()
    before = held()
    assert release_pages(view)
    assert held() < before - size // 2
    assert int(view.sum(dtype=np.int64)) == 7 * (size - 10)


def test_an_array_in_memory_is_left_alone():
    assert not release_pages(np.arange(10)[2:])


_FRAGMENTS = """
import sys
import numpy as np
from edgedistil.distil.memory import keep_freed_memory, return_freed_memory
from test_distil_memory import held

if not keep_freed_memory():
    sys.exit("not glibc")
large, small = [], []
for _ in range(64):
    large.append(np.ones(1 << 20, dtype=np.uint8))
    small.append(np.ones(1 << 10, dtype=np.uint8))
del large
before = held("RssAnon")
assert return_freed_memory()
print(before - held("RssAnon"))
assert all(part.all() for part in small)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is Linux's")
def test_blocks_that_lie_between_used_ones_are_given_back():
    done = subprocess.run(
        [sys.executable, "-c", _FRAGMENTS], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    if "not glibc" in done.stderr:
        pytest.skip("the C library is not glibc")
    assert int(done.stdout) > 48 << 20, done.stderr
