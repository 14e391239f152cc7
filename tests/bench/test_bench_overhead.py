"""The harness against a plain loop over the runtime's own call, both in processes of their own, in turns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bench_files import case_of, make_onnx

from edgedistil.bench.interleave import load_fields
from edgedistil.bench.process import WorkerProcess
from edgedistil.bench.stats import paired_ratio_interval

PLAIN_LOOP = """
import json, sys, time
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
ids = np.array([json.loads(sys.argv[2])])
feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
for line in sys.stdin:
    for _ in range(3):
        session.run(None, feed)
    samples, end = [], time.perf_counter() + float(line)
    while time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, feed)
        samples.append((time.perf_counter() - start) * 1e9)
    print(json.dumps(samples), flush=True)
"""
ROUNDS, SECONDS = 12, 0.1


@pytest.mark.alone
def test_the_harness_adds_at_most_two_percent_to_a_model_of_two_milliseconds(tmp_path: Path) -> None:
    path = make_onnx(tmp_path / "model.onnx", hidden=384, layers=28)
    ids = np.random.default_rng(0).integers(1, 100, 64).tolist()
    command = [sys.executable, "-c", PLAIN_LOOP, str(path), json.dumps(ids)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as plain,
        WorkerProcess(case_of(path, sequence_length=64)) as worker,
    ):
        assert plain.stdin
        assert plain.stdout
        worker.ask("load", **load_fields(worker.case, worker.transport))
        worker.ask("prepare", input_ids=[[ids]])
        worker.ask("warm_up", seconds=1, tolerance=0.05)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(worker.ask("measure", seconds=SECONDS, minimum=3, settle=3)["samples_ns"])
            plain.stdin.write(f"{SECONDS}\n")
            plain.stdin.flush()
            theirs.append(json.loads(plain.stdout.readline()))
        plain.stdin.close()
    # The lower end, not the estimate: a busy machine widens the interval, only a slow harness lifts all of it.
    assert paired_ratio_interval(ours, theirs).low <= 1.02
