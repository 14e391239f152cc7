"""Stages and their cache: keys, reuse, killed work, a full disk, two runs at once."""

from __future__ import annotations

import errno
import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.pipeline.cache import StageCache, cache_root
from edgedistil.pipeline.locks import stage_lock
from edgedistil.pipeline.run import run_plan
from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.progress import SilentProgress

FLOCK = fcntl.flock


def stage(name: str = "first", *, value: int = 1, work: Any = None, **changes: Any) -> Stage:
    def write(context: StageContext) -> dict[str, Any]:
        (context.folder / "value").write_text(str(value))
        return {"value": value}

    fields = {"version": 1, "parameters": {"value": value}, "inputs": {}, "work": work or write}
    return Stage(name=name, **(fields | changes))


def test_key_follows_everything_a_result_depends_on():
    base = stage()
    others = [
        stage("second"),
        stage(value=2),
        stage(version=2),
        stage(fingerprints={"data": "a"}),
        stage(inputs={"before": stage("zeroth")}),
    ]
    assert stage().key == base.key
    assert len({base.key, *(other.key for other in others)}) == len(others) + 1


def test_key_follows_a_change_far_upstream():
    def chain(value: int) -> Stage:
        return stage("c", inputs={"b": stage("b", inputs={"a": stage("a", value=value)})})

    assert chain(1).key == chain(1).key != chain(2).key


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()))
def test_key_ignores_the_order_of_parameters(parameters: dict[str, Any]):
    backwards = dict(reversed(list(parameters.items())))
    assert stage(parameters=parameters).key == stage(parameters=backwards).key


def test_work_is_done_once(tmp_path: Path):
    cache = StageCache(tmp_path)
    first, again = cache.run(stage(), SilentProgress()), cache.run(stage(), SilentProgress())
    assert not first.reused
    assert again.reused
    assert again.summary == {"value": 1}
    assert (again.folder / "value").read_text() == "1"


def test_inputs_are_the_finished_folders(tmp_path: Path):
    cache, before = StageCache(tmp_path), stage("before", value=7)

    def work(context: StageContext) -> dict[str, Any]:
        return {"seen": (context.inputs["it"] / "value").read_text()}

    cache.run(before, SilentProgress())
    assert cache.run(stage("after", inputs={"it": before}, work=work), SilentProgress()).summary == {"seen": "7"}


def test_failed_work_leaves_no_stage_and_keeps_its_scratch(tmp_path: Path):
    cache = StageCache(tmp_path)
    seen = []

    def work(context: StageContext) -> dict[str, Any]:
        seen.append(sorted(path.name for path in context.scratch.iterdir() if path.name != "seconds"))
        assert not list(context.folder.iterdir())
        (context.folder / "half").write_text("x")
        (context.scratch / "checkpoint").write_text("x")
        if len(seen) == 1:
            raise EdgeDistilError("stopped")
        return {}

    with pytest.raises(EdgeDistilError, match="stopped"):
        cache.run(stage(work=work), SilentProgress())
    assert cache.find(stage()) is None
    assert cache.entries() == []
    assert not cache.run(stage(work=work), SilentProgress()).reused
    assert seen == [[], ["checkpoint"]]
    assert not list((tmp_path / "partial").glob("*"))


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("write failed: No space left on device (os 28)")],
)
def test_full_disk_in_mid_stage_is_one_line(tmp_path: Path, error: Exception):
    cache = StageCache(tmp_path)
    cache.run(stage("earlier"), SilentProgress())

    def work(context: StageContext) -> dict[str, Any]:
        raise error

    with pytest.raises(EdgeDistilError) as caught:
        cache.run(stage("later", work=work), SilentProgress())
    assert caught.value.exit_code == 1
    assert "disk became full in stage 'later'" in caught.value.line()
    assert "earlier stages are kept" in caught.value.line()
    assert cache.find(stage("earlier"))


def test_space_is_checked_before_the_work(tmp_path: Path):
    with pytest.raises(EdgeDistilError, match=r"needs 1000000\.0 GB"):
        StageCache(tmp_path).run(stage(effort=Effort(disk=10**15)), SilentProgress())


def test_another_error_is_not_taken_for_a_full_disk(tmp_path: Path):
    def work(context: StageContext) -> dict[str, Any]:
        raise ValueError("bug")

    with pytest.raises(ValueError, match="bug"):
        StageCache(tmp_path).run(stage(work=work), SilentProgress())


def test_two_runs_do_not_work_on_one_stage(tmp_path: Path):
    lock = tmp_path / "partial" / f"first-{stage().key[:16]}.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(EdgeDistilError, match="another run is working on stage 'first'"):
            StageCache(tmp_path).run(stage(), SilentProgress())


def test_a_lock_whose_file_its_last_holder_removed_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, taken = tmp_path / "it.lock", []

    def flock(stream: IO[str], how: int) -> None:
        FLOCK(stream, how)
        if not taken:
            # Between opening and locking: the holder ends, and a third run begins.
            path.unlink()
            taken.append(path.open("w"))
            FLOCK(taken[0], fcntl.LOCK_EX)

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(EdgeDistilError, match="another run is working on stage 'it'"), stage_lock(path, "it"):
        pass
    taken[0].close()
    with stage_lock(path, "it"):
        assert path.is_file()
    assert not path.exists()


def test_a_stage_that_another_run_has_just_done_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    others = []

    @contextmanager
    def late(path: Path, name: str) -> Iterator[None]:
        monkeypatch.setattr("edgedistil.pipeline.cache.stage_lock", stage_lock)
        others.append(StageCache(tmp_path).run(stage(), SilentProgress()))
        with stage_lock(path, name):
            yield

    monkeypatch.setattr("edgedistil.pipeline.cache.stage_lock", late)
    assert StageCache(tmp_path).run(stage(), SilentProgress()).reused
    assert not others[0].reused


def test_a_file_system_without_locks_is_one_line_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    cache = StageCache(tmp_path)
    (tmp_path / "stages" / "a-0").mkdir(parents=True)
    for attempt in (cache.used().__enter__, lambda: cache.remove(cache.entries())):
        with pytest.raises(EdgeDistilError) as caught:
            attempt()
        assert caught.value.line() == (
            f"{tmp_path}: the cache's file system has no locks (No locks available); "
            "set EDGEDISTIL_CACHE to a folder on a local disk"
        )


def test_a_removal_that_is_killed_leaves_nothing_that_looks_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache = StageCache(tmp_path)
    cache.run(stage(), SilentProgress())

    def kill(folder: Path) -> None:
        (folder / "value").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", kill)
        with pytest.raises(KeyboardInterrupt):
            cache.remove(cache.entries())
    assert not cache.run(stage(), SilentProgress()).reused


def test_a_clock_that_a_full_disk_cut_short_starts_anew(tmp_path: Path):
    cache = StageCache(tmp_path)

    def work(context: StageContext) -> dict[str, Any]:
        (context.scratch / "checkpoint").touch()
        raise EdgeDistilError("stopped")

    with pytest.raises(EdgeDistilError, match="stopped"):
        cache.run(stage(work=work), SilentProgress())
    next((tmp_path / "partial").glob("*/scratch/seconds")).write_text("")
    assert cache.run(stage(), SilentProgress()).seconds < 60


def test_stages_whose_names_differ_behind_a_dot_do_not_wait_for_one_another(tmp_path: Path):
    cache = StageCache(tmp_path)

    def work(context: StageContext) -> dict[str, Any]:
        cache.run(stage("prune-1.8x"), SilentProgress())
        return {}

    cache.run(stage("prune-1.5x", work=work), SilentProgress())
    assert {entry.name for entry in cache.entries()} == {"prune-1.5x", "prune-1.8x"}


def test_damaged_record_is_named(tmp_path: Path):
    cache = StageCache(tmp_path)
    done = cache.run(stage(), SilentProgress())
    (done.folder / "stage.json").write_text("{")
    with pytest.raises(UsageError, match="record is damaged"):
        cache.find(stage())


def test_entries_and_removal(tmp_path: Path):
    cache = StageCache(tmp_path)
    cache.run(stage("a"), SilentProgress())
    cache.run(stage("b"), SilentProgress())
    assert {entry.name for entry in cache.entries()} == {"a", "b"}
    freed = cache.remove([entry for entry in cache.entries() if entry.name == "a"])
    assert freed > 0
    assert [entry.name for entry in cache.entries()] == ["b"]


def test_nothing_is_removed_from_under_a_run(tmp_path: Path):
    cache = StageCache(tmp_path)
    with cache.used():
        cache.run(stage(), SilentProgress())
        with cache.used(), pytest.raises(EdgeDistilError, match="a run is using these stages; nothing was removed"):
            cache.remove(cache.entries())
        assert cache.find(stage())
    assert cache.remove(cache.entries()) > 0


def test_a_run_uses_its_cache_from_first_to_last(tmp_path: Path):
    cache = StageCache(tmp_path)

    def work(context: StageContext) -> dict[str, Any]:
        with pytest.raises(EdgeDistilError, match="a run is using these stages"):
            cache.remove(cache.entries())
        return {}

    stages = [stage("a"), stage("b", work=work)]
    plan = SimpleNamespace(build=SimpleNamespace(cache=cache), stages=stages, goal=stages[-1], needs=lambda _: True)
    assert set(run_plan(plan, SilentProgress()).finished) == {"a", "b"}


@pytest.mark.parametrize("record", [None, "{", "[]"])
def test_a_stage_without_its_record_is_listed_removed_and_made_again(tmp_path: Path, record: str | None):
    cache = StageCache(tmp_path)
    path = cache.run(stage("a-b"), SilentProgress()).record
    path.unlink()
    if record is None:
        assert not cache.run(stage("a-b"), SilentProgress()).reused
        path.unlink()
    else:
        path.write_text(record)
    (entry,) = cache.entries()
    assert (entry.name, entry.key, entry.seconds) == ("a-b", stage("a-b").key[:16], None)
    assert cache.remove([entry]) > 0
    assert cache.entries() == []


def test_cache_root_is_the_workspaces_or_the_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("EDGEDISTIL_CACHE", raising=False)
    assert cache_root(tmp_path) == tmp_path / ".edgedistil"
    monkeypatch.setenv("EDGEDISTIL_CACHE", str(tmp_path / "elsewhere"))
    assert cache_root(tmp_path) == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("file", "file: the cache's folder is no folder"),
        ("file/in/it", "the cache's folder cannot be made, as {}/file is no folder"),
        ("locked", "locked: the cache's folder cannot be written"),
        ("locked/new", "new: the cache's folder cannot be written"),
    ],
)
def test_a_cache_that_cannot_be_used_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, words: str
):
    (tmp_path / "file").touch()
    (tmp_path / "locked").mkdir()
    monkeypatch.setenv("EDGEDISTIL_CACHE", str(tmp_path / place))
    # To root every folder can be written.
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path / "locked")
    with pytest.raises(UsageError) as caught:
        cache_root(tmp_path)
    assert words.format(tmp_path) in caught.value.line()
    assert caught.value.line().endswith("set EDGEDISTIL_CACHE to a folder that can be written")
    if "locked" in place:
        assert cache_root(tmp_path, writing=False) == tmp_path / place


def test_a_cache_that_cannot_be_made_after_all_is_one_line():
    with (
        pytest.raises(EdgeDistilError, match="the cache's folder cannot be written"),
        StageCache(Path("/proc/x")).used(),
    ):
        pass
