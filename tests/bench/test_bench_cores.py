"""Processors of a container: its control group's time, where that is less than what it is bound to."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedistil.bench.runner import cores

BOUND = 8


@pytest.fixture(autouse=True)
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: set(range(BOUND)))


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="ascii")
    return folder


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, BOUND),
        ("0::/\n", {"cpu.max": "6400000 100000\n"}, BOUND),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000\n"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000\n"}, 4),
        ("0::/gone\n", {"cpu.max": "200000 100000\n"}, 2),
        (
            "9:memory:/x\n4:cpu,cpuacct:/docker/0a1b\n",
            {"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            2,
        ),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, BOUND),
        ("9:memory:/\n", {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, BOUND),
        ("0::/\n", {"cpu.max": "nonsense\n"}, BOUND),
        ("", {"cpu.max": "200000 100000\n"}, BOUND),
    ],
)
def test_a_control_groups_time_counts(own: str, files: dict[str, str], expected: int, tmp_path: Path) -> None:
    (tmp_path / "own").write_text(own, encoding="ascii")
    assert cores.available_cores(write(tmp_path / "groups", files), tmp_path / "own") == expected


def test_a_system_without_control_groups_has_what_it_is_bound_to(tmp_path: Path) -> None:
    assert cores.available_cores(tmp_path / "none", tmp_path / "none") == BOUND
