from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgedistil.distil.memory import release_pages


def held() -> int:
    """Returns the bytes of mapped files that this process holds in memory."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("the system has no /proc")
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("RssFile"))


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
