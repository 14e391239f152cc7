from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise, zip_longest
from pathlib import Path

import pytest
from bench_files import case_of, make_onnx

from edgedistil.bench.measurement import speedup
from edgedistil.bench.process import WorkerProcess
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.scores import Examples
from edgedistil.bench.session import run_bench
from edgedistil.bench.settings import BenchSettings
from edgedistil.errors import EdgeDistilError, UsageError

OWN_RUNTIME = """
import os, signal, sys, time
import numpy as np
from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.worker import main

class Own:
    name, version = "own", "1.0"
    calls = 0
    def __init__(self, path, threads, length):
        self.path, self.threads = path, threads
        {load}
    def run(self, ids, mask):
        self.calls += 1
        {run}
        return np.eye(3, dtype=np.float32)[ids[:, 0] % 3]
    def bind(self, ids, mask):
        return lambda: self.run(ids, mask)

runtimes.register("own", Own)
sys.exit(main())
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a worker module of one's own, as the host world does for PyTorch; returns a case that uses it."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "weights").write_bytes(b"weights")

    def make(name: str = "own", run: str = "pass", load: str = "pass"):
        (tmp_path / f"worker_{name}.py").write_text(OWN_RUNTIME.format(run=run, load=load))
        return case_of(tmp_path / "weights", name, runtime="own", worker_module=f"worker_{name}")

    return make


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def left_over() -> Callable[[], list[int]]:
    """Names this process's children that the test has brought about: files before it may have left helpers running."""
    before = children(os.getpid())
    return lambda: [child for child in children(os.getpid()) if child not in before]


def alive(pid: int) -> bool:
    """Whether a process still runs; one that nobody has buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_gone(pids: list[int]) -> bool:
    end = time.monotonic() + 8
    while time.monotonic() < end:
        if not any(map(alive, pids)):
            return True
        time.sleep(0.02)
    return False


def test_files_of_two_runtimes_are_measured_whole(
    onnx_file: Path, tflite_file: Path, evaluation_file: Path, quick: BenchSettings, left_over: Callable[[], list[int]]
) -> None:
    cases = [case_of(onnx_file, "ONNX fp32"), case_of(tflite_file, "TFLite fp32", format="tflite-fp32")]
    result = run_bench(cases, Examples(evaluation_file), quick)
    assert result.failures == {}
    assert [record.name for record in result.complete()] == ["ONNX fp32", "TFLite fp32"]
    for record, path in zip(result.measurements, (onnx_file, tflite_file), strict=True):
        assert record.bytes == path.stat().st_size
        assert len(record.blocks) >= quick.min_blocks
        assert sum(record.blocks) == len(record.samples_ms)
        assert record.p50_ms.low <= record.p50_ms.value <= record.p50_ms.high
        assert record.p50_ms.value <= record.p90_ms.value <= record.p99_ms.value
        assert record.peak_memory_mb > record.runtime_memory_mb > 10
        assert record.load_ms > 0
        assert record.first_ms > 0
        assert record.accuracy
        assert (record.accuracy.value, record.accuracy.examples) == (0.9, 40)
        assert len(record.predictions) == len(record.labels) == 40
        assert record.file == path.name
        assert not record.emulated
    onnx_record, tflite_record = result.measurements
    assert onnx_record.predictions == tflite_record.predictions
    assert onnx_record.session == tflite_record.session
    ratio = speedup(onnx_record, tflite_record)
    assert ratio.low <= ratio.value <= ratio.high
    assert left_over() == []


def test_without_an_evaluation_set_there_is_no_accuracy(onnx_file: Path, quick: BenchSettings) -> None:
    (record,) = run_bench([case_of(onnx_file)], None, quick).complete()
    assert record.accuracy is None
    assert record.predictions == {}
    assert record.p50_ms.value > 0


def test_a_slower_file_is_seen_to_be_slower(onnx_file: Path, tmp_path: Path) -> None:
    slow = make_onnx(tmp_path / "slow.onnx", hidden=256, layers=16)
    settings = BenchSettings(max_seconds=1, min_blocks=5, block_seconds=0.03, warmup_seconds=1)
    cases = [case_of(onnx_file, "fast", sequence_length=32), case_of(slow, "slow", sequence_length=32)]
    fast, slower = run_bench(cases, None, settings).complete()
    assert speedup(fast, slower).low > 1


def test_a_corrupt_file_and_a_missing_one_leave_the_others(
    onnx_file: Path, evaluation_file: Path, tmp_path: Path, quick: BenchSettings
) -> None:
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(onnx_file.read_bytes()[:100])
    cases = [case_of(junk, "junk"), case_of(onnx_file, "good"), case_of(tmp_path / "none.onnx", "absent")]
    result = run_bench(cases, Examples(evaluation_file), quick)
    assert [record.name for record in result.measurements] == ["good"]
    assert list(result.failures) == ["junk", "absent"]
    line = str(result.failures["junk"])
    assert line.startswith(f"junk ({junk}): onnxruntime cannot load it (")
    assert line.endswith("; export it again")
    assert line.count(str(junk.parent)) <= 2
    assert "\n" not in line
    assert "no such file" in str(result.failures["absent"])
    with pytest.raises(EdgeDistilError, match="junk"):
        result.complete()


def test_a_worker_that_crashes_while_timed_is_named_with_its_signal(
    own, onnx_file: Path, quick: BenchSettings, left_over: Callable[[], list[int]]
) -> None:
    crash = own("crash", run="self.calls < 300 or os.kill(os.getpid(), signal.SIGSEGV)")
    result = run_bench([crash, case_of(onnx_file, "good")], None, quick)
    assert [record.name for record in result.measurements] == ["good"]
    line = str(result.failures["crash"])
    assert line.startswith(f"crash ({crash.path}): its worker died of SIGSEGV while asked to '")
    assert "\n" not in line
    assert left_over() == []


def test_a_worker_that_exits_silently_or_is_killed_is_told_from_an_error(
    own, evaluation_file: Path, quick: BenchSettings
) -> None:
    cases = [
        own("exits", load="print('no licence'); sys.stdout.flush(); os._exit(7)"),
        own("killed", load="os.kill(os.getpid(), signal.SIGKILL)"),
        own("raises", run="raise ValueError('two\\nlines')"),
    ]
    failures = {name: str(error) for name, error in run_bench(cases, Examples(evaluation_file), quick).failures.items()}
    assert "its worker exited with 7 while asked to 'load' (no licence)" in failures["exits"]
    assert "died of SIGKILL" in failures["killed"]
    assert "memory" in failures["killed"]
    assert "ValueError: two lines" in failures["raises"]


def test_a_silent_worker_is_given_up(own, quick: BenchSettings, left_over: Callable[[], list[int]]) -> None:
    settings = quick.model_copy(update={"timeout_seconds": 1.5})
    result = run_bench([own("hangs", load="time.sleep(60)")], None, settings)
    assert "its worker was silent for 1.5 s while asked to 'load'" in str(result.failures["hangs"])
    assert left_over() == []


def test_a_missing_worker_module_is_one_line(onnx_file: Path, quick: BenchSettings) -> None:
    result = run_bench([case_of(onnx_file, worker_module="edgedistil.nowhere")], None, quick)
    assert "No module named edgedistil.nowhere" in str(result.failures["tiny"])


def test_files_take_turns_and_never_run_at_once(own, tmp_path: Path) -> None:
    log = tmp_path / "log"
    run = "open({!r}, 'a').write('{} ' + str(time.monotonic_ns()) + ' '); time.sleep(0.002); {}"
    tail = f"open({str(log)!r}, 'a').write(str(time.monotonic_ns()) + chr(10))"
    cases = [own(name, run=run.format(str(log), name, tail)) for name in ("a", "b", "c")]
    settings = BenchSettings(
        relative_width=1e9, min_blocks=6, block_seconds=0.02, min_block_samples=2, warmup_seconds=0.2, settle=0
    )
    result = run_bench(cases, None, settings)
    sizes = [record.blocks for record in result.complete()]
    spans = [line.split() for line in log.read_text().splitlines()]
    assert all(int(earlier[2]) <= int(later[1]) for earlier, later in pairwise(spans))
    timed = sum(map(sum, sizes))
    turns = "".join(name for name, *_ in spans[-timed:])
    rounds = zip_longest(*sizes, fillvalue=0)  # a busy machine may ask one file for a round more
    expected = "".join(name * count for row in rounds for name, count in zip("abc", row, strict=True))
    assert turns == expected


def test_a_file_that_never_settles_is_flagged(own, quick: BenchSettings) -> None:
    (record,) = run_bench([own(run="time.sleep(0.001 * 1.05 ** self.calls)")], None, quick).complete()
    assert not record.conditions.stable


def test_memory_is_the_files_own_and_the_runtimes_is_told_apart(own, quick: BenchSettings) -> None:
    ballast = bytearray(80_000_000)
    (record,) = run_bench([own(load="self.block = b'x' * 50_000_000")], None, quick).complete()
    assert len(ballast) > 0
    assert 48 < record.peak_memory_mb - record.runtime_memory_mb < 60
    assert record.runtime_memory_mb < 80


def test_max_seconds_ends_a_file_that_stays_imprecise(own, quick: BenchSettings) -> None:
    settings = quick.model_copy(update={"relative_width": 1e-6})
    (record,) = run_bench([own(run="time.sleep(0.001 + 0.001 * (self.calls % 3))")], None, settings).complete()
    assert not record.precise
    assert sum(record.samples_ms) < 1000


def test_little_time_is_shared_by_the_blocks(own) -> None:
    settings = BenchSettings(relative_width=1e9, max_seconds=0.2, warmup_seconds=0.1)
    (record,) = run_bench([own(run="time.sleep(0.001)")], None, settings).complete()
    assert len(record.blocks) == settings.min_blocks
    assert sum(record.samples_ms) < 2 * 200


def test_impossible_requests_are_refused(onnx_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to bench"):
        run_bench([], None)
    with pytest.raises(UsageError, match="two cases are named 'tiny'"):
        run_bench([case_of(onnx_file), case_of(onnx_file)], None)
    with pytest.raises(UsageError, match="not a readable evaluation set"):
        run_bench([case_of(onnx_file)], Examples(tmp_path / "none.npz"))


def test_closing_ends_a_worker_in_the_middle_of_its_work(own) -> None:
    case = own(run="time.sleep(60)")
    with WorkerProcess(case, 3) as worker:
        worker.ask("load", runtime="own", path=str(case.path), threads=1)
        with pytest.raises(EdgeDistilError, match=r"silent for 3"):
            worker.ask("prepare", input_ids=[[[1]]])
        pid = worker.pid
    assert wait_gone([pid])


SCRIPT = """
import signal
from pathlib import Path
from edgedistil.bench.cases import Case
from edgedistil.bench.session import run_bench
# A shell's background job is born deaf to Ctrl-C; a person's terminal is not.
signal.signal(signal.SIGINT, signal.default_int_handler)
case = Case("own", "b", Path({path!r}), "x", "own", 1, 8, worker_module="worker_own")
run_bench([case], None)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_worker_outlives_an_interrupted_bench(own, number: signal.Signals, tmp_path: Path) -> None:
    started = tmp_path / "started"
    case = own(run=f"open({str(started)!r}, 'w').close(); time.sleep(60)")
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(path=str(case.path))],
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{tmp_path}"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 20
    while not started.exists() and time.monotonic() < end:
        time.sleep(0.05)
    workers = children(process.pid)
    assert len(workers) == 1
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    process.wait(10)
    assert wait_gone(workers)


def test_a_case_may_be_scored_on_the_same_texts_in_its_own_ids(
    onnx_file: Path, evaluation_file: Path, tmp_path: Path, quick: BenchSettings
) -> None:
    """Ids one higher are another vocabulary's; the file that is asked in them gives other answers."""
    rows = EvaluationSet.load(evaluation_file)
    EvaluationSet(rows.input_ids - 1, rows.offsets, rows.labels, rows.ids).save(tmp_path / "own.npz")
    cases = [
        case_of(onnx_file, "usual"),
        case_of(onnx_file, "own ids", examples=Examples(tmp_path / "own.npz")),
    ]
    by_name = {made.name: made for made in run_bench(cases, Examples(evaluation_file), quick).complete()}
    assert by_name["usual"].accuracy is not None
    assert by_name["usual"].accuracy.value > 0.8
    assert by_name["own ids"].accuracy is not None
    assert by_name["own ids"].accuracy.value < 0.2


def test_a_pi_that_is_throttled_between_the_looks_is_seen(
    onnx_file: Path, quick: BenchSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Throttled once since it was started, and again in the second block: the third time it is asked.
    tool = tmp_path / "vcgencmd"
    tool.write_text(
        f"#!/bin/sh\necho >> {tmp_path}/asked\n"
        f"[ $(wc -l < {tmp_path}/asked) = 3 ] && echo throttled=0x40004 || echo throttled=0x40000\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (made,) = run_bench([case_of(onnx_file)], None, quick).measurements
    assert made.conditions.throttled
    assert made.conditions.throttled_by == ["throttled"]
    (tmp_path / "asked").write_text("\n\n\n")
    (calm,) = run_bench([case_of(onnx_file)], None, quick).measurements
    assert calm.conditions.throttled is False
