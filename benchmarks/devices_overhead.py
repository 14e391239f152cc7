"""The harness's own cost: what a bench measures of a small model against a plain loop around the same runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.bench.cases import Case, cases_of
from edgedistil.bench.interleave import load_fields
from edgedistil.bench.process import WorkerProcess
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.stats import paired_ratio_interval
from edgedistil.bench.transport import LocalTransport, local_environment
from edgedistil.bundle.read import Bundle

PAIRS = 20
ROUNDS = 12
_INFERENCES = 30
# Tokens at which the quickstart's files take about 2 ms on one thread of the machine named in the result.
_LENGTHS = {"onnx-fp32": 64, "tflite-fp32": 64}

# What anyone would write, with the runtime's own documentation at hand; it knows nothing of edgedistil.
_PLAIN = {
    "onnxruntime": """
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
known = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
feed = {entry.name: known[entry.name] for entry in session.get_inputs()}
def infer():
    return session.run(["logits"], feed)
""",
    "litert": """
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=path, num_threads=1)
model = interpreter.get_signature_runner(f"length_{ids.shape[1]}")
known = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
feed = {name: known[name].astype(entry["dtype"]) for name, entry in model.get_input_details().items()}
def infer():
    return model(**feed)
""",
}
_LOOP = """
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        begun = time.perf_counter()
        infer()
        times.append(time.perf_counter() - begun)
    print(json.dumps(times), flush=True)
"""


@dataclass(frozen=True)
class _Blocks:
    """Times in ms, a block a round: by the harness and by the plain loop."""

    harness: list[list[float]]
    plain: list[list[float]]


def compare_loops(bundle: Bundle) -> dict[str, Any]:
    """Returns the ratio of the harness's p50 to a plain loop's by runtime, with its 95 % interval.

    Both run in processes of their own and take turns, who is first changing from round to round. One pair of processes
    differs from another by where the model comes to lie in memory, so there are several; a pair gives one block a side,
    of the medians of its rounds.
    """
    tokens = EvaluationSet.load(str(bundle.evaluation_path))
    found: dict[str, Any] = {}
    for format_name, length in _LENGTHS.items():
        (case,) = cases_of(bundle, 1, length, [format_name])
        row = tokens.packed(length, 1, 0).tolist()
        pairs = [_take_turns(case, row) for _ in range(PAIRS)]
        harness = [[float(np.median(block)) for block in pair.harness] for pair in pairs]
        plain = [[float(np.median(block)) for block in pair.plain] for pair in pairs]
        ratio = paired_ratio_interval(harness, plain)
        found[case.runtime] = {
            "file": format_name,
            "tokens": length,
            "harness_p50_ms": float(np.median(harness)),
            "plain_p50_ms": float(np.median(plain)),
            "ratio": [ratio.value, ratio.low, ratio.high],
            "pairs": [float(np.median(one) / np.median(other)) for one, other in zip(harness, plain, strict=True)],
        }
        print(case.runtime, found[case.runtime])
    worst = max((made["ratio"] for made in found.values()), key=lambda ratio: ratio[0])
    return {"pairs": PAIRS, "rounds": ROUNDS, "inferences": _INFERENCES, "runtimes": found, "worst": worst}


def _take_turns(case: Case, row: list[list[int]]) -> _Blocks:
    blocks = _Blocks([], [])
    transport = LocalTransport()
    with WorkerProcess(case) as worker, _plain_loop(case, row) as ask:
        worker.ask("load", **load_fields(case, transport))
        worker.ask("prepare", input_ids=[row])
        worker.ask("warm_up", seconds=2.0, tolerance=0.05)
        ask(_INFERENCES)
        for turn in range(ROUNDS):
            for side in ("harness", "plain") if turn % 2 else ("plain", "harness"):
                if side == "harness":
                    answer = worker.ask("measure", seconds=0.0, minimum=_INFERENCES, settle=0)
                    blocks.harness.append([nanoseconds / 1e6 for nanoseconds in answer["samples_ns"]])
                else:
                    blocks.plain.append([1000 * seconds for seconds in ask(_INFERENCES)])
    return blocks


@contextmanager
def _plain_loop(case: Case, row: list[list[int]]) -> Iterator[Any]:
    head = (
        f"import json, sys, time\nimport numpy as np\npath, ids = {str(Path(case.path).resolve())!r}, np.array({row})\n"
    )
    script = head + _PLAIN[case.runtime] + _LOOP
    environment = local_environment(1) | {"ORT_DISABLE_TELEMETRY": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        sent, told = process.stdin, process.stdout
        assert sent is not None  # noqa: S101, opened as a pipe
        assert told is not None  # noqa: S101, as above

        def ask(inferences: int) -> list[float]:
            sent.write(f"{inferences}\n")
            sent.flush()
            times: list[float] = json.loads(told.readline())
            return times

        yield ask
        sent.close()
