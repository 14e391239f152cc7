from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import edgedistil.bench.runner
from edgedistil.bench.archive import runner_archive
from edgedistil.bench.runner import memory, timing
from edgedistil.bench.runner.evaluation import EvaluationSet

RUNNER = Path(edgedistil.bench.runner.__file__).parent


def talk(requests: list[dict | str], folder: Path, *command: str) -> tuple[list[dict], str]:
    """Runs a worker alone: the folder that holds it is all it can import beside the environment's packages."""
    process = subprocess.Popen(
        [sys.executable, *(command or ("-m", "runner"))],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    answers = []
    for request in requests:
        process.stdin.write((request if isinstance(request, str) else json.dumps(request)) + "\n")
        process.stdin.flush()
        answers.append(json.loads(process.stdout.readline()))
    _, chatter = process.communicate(timeout=20)
    return answers, chatter


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A folder that holds a copy of the runner, and a module in edgedistil's place that cannot be imported."""
    shutil.copytree(RUNNER, tmp_path / "runner", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "edgedistil.py").write_text("raise ImportError('edgedistil is not on the device')\n")
    return tmp_path


def test_the_runner_runs_alone(
    alone: Path, onnx_file: Path, tflite_file: Path, evaluation_file: Path, examples: EvaluationSet
) -> None:
    for runtime, path in (("onnxruntime", onnx_file), ("litert", tflite_file)):
        answers, _ = talk(
            [
                {"command": "facts"},
                {"command": "conditions"},
                {"command": "load", "runtime": runtime, "path": str(path), "threads": 1, "sequence_length": 8},
                {"command": "prepare", "input_ids": [[[1] * 8], [[2] * 8]]},
                {"command": "warm_up", "seconds": 0.3, "tolerance": 0.5},
                {"command": "measure", "seconds": 0.01, "minimum": 4, "settle": 3},
                {"command": "memory", "inferences": 2},
                {"command": "evaluate", "path": str(evaluation_file), "batch": 1},
                {"command": "quit"},
            ],
            alone,
        )
        assert all(answer["ok"] for answer in answers), answers
        loaded, measured, peak, scored = answers[2], answers[5], answers[6], answers[7]
        assert len(measured["samples_ns"]) >= 4
        assert peak["peak_memory_mb"] >= loaded["runtime_memory_mb"] > 10
        assert scored["ids"] == examples.ids.tolist()
        assert scored["kind"] == "class"
        assert np.mean(np.equal(examples.labels, scored["outputs"])) == pytest.approx(0.9)


def test_whatever_goes_wrong_is_an_answer(alone: Path, tmp_path: Path) -> None:
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"junk" * 100)
    load = {"command": "load", "runtime": "onnxruntime", "threads": 1}
    answers, _ = talk(
        [
            "not json",
            "[1]",
            {"command": "dance"},
            {"command": "measure", "seconds": 1, "minimum": 1, "settle": 0},
            {"command": "prepare", "input_ids": [[[1]]]},
            {**load, "path": str(junk)},
            {**load, "path": str(tmp_path / "none")},
            {"command": "load"},
        ],
        alone,
    )
    words = ["not JSON", "not a JSON object", "no command 'dance'", "no inputs", "no file is loaded", "cannot load it"]
    for answer, word in zip(answers, [*words, "no such file", "missing 3 required"], strict=True):
        assert not answer["ok"]
        assert word in answer["error"]
        assert "\n" not in answer["error"]
        assert "short" not in answer


def test_chatter_of_a_runtime_does_not_reach_the_answers(alone: Path) -> None:
    (alone / "loud.py").write_text(
        "import os, sys\n"
        "from runner import runtimes\n"
        "from runner.worker import main\n"
        "class Loud:\n"
        "    name, version = 'loud', '1'\n"
        "    def bind(self, ids, mask):\n"
        "        return lambda: (print('from Python', flush=True), os.write(1, b'from C\\n'))\n"
        "runtimes.register('loud', lambda path, threads, length: Loud())\n"
        "sys.exit(main())\n"
    )
    answers, chatter = talk(
        [
            {"command": "load", "runtime": "loud", "path": "x", "threads": 1},
            {"command": "prepare", "input_ids": [[[1]]]},
        ],
        alone,
        *("-m", "loud"),
    )
    assert all(answer["ok"] for answer in answers)
    assert "from Python" in chatter
    assert "from C" in chatter


def test_not_a_number_is_no_prediction(alone: Path, evaluation_file: Path) -> None:
    (alone / "broken.py").write_text(
        "import sys\n"
        "import numpy as np\n"
        "from runner import runtimes\n"
        "from runner.worker import main\n"
        "class Broken:\n"
        "    name, version = 'broken', '1'\n"
        "    def run(self, ids, mask):\n"
        "        return np.full((len(ids), 2), np.nan, dtype=np.float32)\n"
        "runtimes.register('broken', lambda path, threads, length: Broken())\n"
        "sys.exit(main())\n"
    )
    answers, _ = talk(
        [
            {"command": "load", "runtime": "broken", "path": "x", "threads": 1},
            {"command": "evaluate", "path": str(evaluation_file), "batch": 4},
        ],
        alone,
        *("-m", "broken"),
    )
    assert "NaN or infinity" in answers[1]["error"]


def test_every_file_of_the_runner_parses_as_python_3_9_and_imports_only_what_a_device_has() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "onnxruntime", "ai_edge_litert", "tflite_runtime", "openvino"}
    for path in sorted(RUNNER.rglob("*.py")):
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                tops = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                tops = {str(node.module).partition(".")[0]}
            else:
                continue
            assert tops <= allowed, path


def test_the_timed_loop_itself_costs_next_to_nothing() -> None:
    # 40 microseconds would be 2 % of a 2 ms model.
    assert np.median(timing.block([lambda: None], 0.05, 100)) < 10_000


def test_a_block_fills_its_time_and_its_minimum_and_cycles_its_inputs() -> None:
    seen: list[int] = []
    calls = [lambda: seen.append(0), lambda: seen.append(1), lambda: seen.append(2)]
    assert len(timing.block(calls, 0.0, 7)) == 7
    assert seen == [0, 1, 2, 0, 1, 2, 0]
    # Another process may take the core in one of them.
    assert min(sum(timing.block(calls, 0.02, 1)) for _ in range(4)) < 0.02e9 + 5e6


def test_peak_memory_is_this_processs() -> None:
    status = Path("/proc/self/status").read_text()
    assert memory.parse_high_water_kb(status) * 1024 / 1e6 <= memory.peak_mb()
    assert memory.parse_high_water_kb("Name:\tx\nVmHWM:\t  2048 kB\n") == 2048
    assert memory.parse_high_water_kb("Name:\tx\n") == 0


def test_evaluation_order_does_not_depend_on_lengths(examples: EvaluationSet) -> None:
    from edgedistil.bench.runner.scoring import predict_all

    class FirstToken:
        name, version = "first", "1"

        def run(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
            return np.eye(3, dtype=np.float32)[input_ids[:, 0] % 3]

    ticks: list[int] = []
    answers = predict_all(FirstToken(), examples, 7, ticks.append)  # type: ignore[arg-type]
    assert answers == [int(examples.tokens(i)[0]) % 3 for i in range(len(examples))]
    assert ticks[-1] == len(examples)


def test_the_runner_is_one_small_file_that_runs_anywhere(tmp_path: Path, onnx_file: Path) -> None:
    archive = tmp_path / "runner.pyz"
    archive.write_bytes(runner_archive())
    assert archive.stat().st_size < 100_000
    requests = [
        {"command": "load", "runtime": "onnxruntime", "path": str(onnx_file), "threads": 1},
        {"command": "prepare", "input_ids": [[[1, 2]]]},
        {"command": "quit"},
    ]
    answers, _ = talk(requests, tmp_path, "-I", str(archive))
    assert [answer["ok"] for answer in answers] == [True] * 3
    looked = subprocess.run(
        [sys.executable, "-I", str(archive), "inspect"],
        input=json.dumps([str(archive), "/none"]),
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(looked.stdout)
    assert list(seen["files"]) == [str(archive)]
    assert seen["files"][str(archive)]["bytes"] == len(runner_archive())
    assert seen["bits"] in (32, 64)
    assert seen["free_bytes"] > 0
    assert "libraries" not in seen


def test_a_worker_that_hears_nothing_ends(alone: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "runner", "--patience", "1"],
        cwd=alone,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(alone)},
        bufsize=0,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b'{"command": "facts"}\n')
        process.stdout.readline()
        end = time.monotonic() + 1.6
        while time.monotonic() < end:
            process.stdin.write(b"\n")
            time.sleep(0.2)
        assert process.poll() is None
        assert process.wait(5) == 0


def test_a_kept_answer_is_given_again(alone: Path, tmp_path: Path) -> None:
    keep = tmp_path / "kept/answer.json"
    asked = {"command": "facts", "keep": str(keep)}
    (first, _), _ = talk([asked, {"command": "load", "keep": str(tmp_path / "no.json")}], alone)
    assert json.loads(keep.read_text()) == {key: value for key, value in first.items() if key != "ok"}
    assert not (tmp_path / "no.json").exists()
    (full,), _ = talk([{**asked, "keep": str(keep / "none.json")}], alone)
    assert (full["ok"], full["short"]) == (False, True)
    keep.write_text('{"cpu": "kept"}')
    (again,), _ = talk([asked], alone)
    assert again == {"ok": True, "cpu": "kept"}
    keep.write_text('{"cpu": "ke')
    (anew,), _ = talk([asked], alone)
    assert anew == first
