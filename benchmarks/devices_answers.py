"""An emulated Raspberry Pi's logits against this machine's, on real texts, format by format."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgedistil.bench.cases import Case, cases_of
from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.read import Bundle
from edgedistil.devices.emulated import EmulatedPi, bring_up
from edgedistil.devices.ssh import SshDevice, SshProfile
from edgedistil.progress import TerminalProgress

TEXTS = 32
CPUS = ("cortex-a72", "cortex-a76")

# Beside the runner that a bench sends there.
_SCRIPT = """
import json, sys
import numpy as np
request = json.loads(sys.stdin.readline())
sys.path.insert(0, request["runner"])
from runner import runtimes
model = runtimes.create(request["runtime"], request["path"], 1)
logits = []
for row in request["rows"]:
    ids = np.array([row])
    logits.append(model.run(ids, np.ones_like(ids))[0].tolist())
print(json.dumps({"logits": logits, "version": model.version}))
"""


@dataclass(frozen=True)
class _Question:
    case: Case
    rows: list[list[int]]


def compare_answers(bundle: Bundle) -> dict[str, Any]:
    """Returns the largest differences of a logit, by processor and format and by precision."""
    tokens = EvaluationSet.load(str(bundle.evaluation_path))
    rows = [tokens.tokens(index).tolist() for index in range(TEXTS)]
    questions = [_Question(case, rows) for case in cases_of(bundle, 1, bundle.manifest.max_length)]
    here = {question.case.format: _here(question) for question in questions}
    boards: dict[str, Any] = {}
    for cpu in CPUS:
        with bring_up(cpu, progress=TerminalProgress()) as pi:
            there = _there(pi, questions)
        boards[cpu] = {name: _difference(there[name], here[name]) for name in there}
        print(cpu, boards[cpu])
    largest = {"fp32_millionths": 1e6 * _largest(boards, "fp32"), "int8_thousandths": 1e3 * _largest(boards, "int8")}
    return {"texts": TEXTS, "boards": boards, "largest": largest}


def _largest(boards: dict[str, Any], precision: str) -> float:
    return max(made["largest"] for board in boards.values() for name, made in board.items() if precision in name)


def _here(question: _Question) -> np.ndarray:
    model = runtimes.create(question.case.runtime, str(question.case.path), 1)
    return np.stack([model.run(np.array([row]), np.ones((1, len(row)), np.int64))[0] for row in question.rows])


def _there(pi: EmulatedPi, questions: list[_Question]) -> dict[str, np.ndarray]:
    fields = {"name": pi.alias, "kind": "ssh", "host": pi.alias, "config": pi.ssh_config, "python": pi.python}
    remote = SshDevice(SshProfile.model_validate(fields)).remote()
    found = {}
    with remote.link:
        remote.link.connect()
        remote.bring([question.case.path for question in questions], TerminalProgress())
        for question in questions:
            request = {
                "runner": remote.runner,
                "runtime": question.case.runtime,
                "path": remote.place(question.case.path),
                "rows": question.rows,
            }
            said = remote.link.run(f"{pi.python} -c {shlex.quote(_SCRIPT)}", json.dumps(request).encode() + b"\n")
            found[question.case.format] = np.array(json.loads(said)["logits"], dtype=np.float32)
    return found


def _difference(there: np.ndarray, here: np.ndarray) -> dict[str, Any]:
    each = np.abs(there - here).max(axis=-1)
    same = int((there.argmax(axis=-1) == here.argmax(axis=-1)).sum())
    return {"largest": float(each.max()), "median": float(np.median(each)), "same_label": same}
