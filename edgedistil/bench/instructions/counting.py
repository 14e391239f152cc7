"""Counting the instructions of one inference of one file.

Measured with a pruned student (4 layers of 384, 14.9 million parameters) at 64 tokens, ONNX and TFLite, fp32 and int8,
on Cortex-A72 and Cortex-A76: three counts of each of the eight agree in every kind, to the instruction. Without the
clock of `clock.c`, those of ONNX fp32 at 16 tokens differed by up to 1.2e-4 of the total. On two cores that others kept
busy a count took 4 s (int8) to 53 s (fp32).
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedistil.bench import runner
from edgedistil.bench.cases import Case
from edgedistil.bench.instructions import workload
from edgedistil.bench.instructions.emulator import Emulator
from edgedistil.bench.instructions.plugin import build_libraries, missing
from edgedistil.errors import EdgeDistilError

__all__ = ["KINDS", "Count", "count_case", "missing"]

KINDS = ("multiply_accumulate", "dot_product", "load_store", "other")
"""The kinds told apart, as the plugin writes them; see `count.c` for what is of which kind."""

_INSIDE = "counted"
_WARM_UP = 8
_INFERENCES = 2
_CURE = "install a version of the runtime for this processor, or leave the file out"


@dataclass(frozen=True)
class Count:
    """What one inference of one file costs, and what it answers.

    Attributes:
        instructions: Instructions an inference by kind, and `total`.
        logits: The outputs for the counted input, [1, ...], as the emulated processor computed them.
        runtime_version: Version of the runtime there.
    """

    instructions: dict[str, int]
    logits: list[Any]
    runtime_version: str


def count_case(
    case: Case,
    input_ids: Sequence[int],
    emulator: Emulator,
    cache: Path,
    *,
    warm_up: int = _WARM_UP,
    inferences: int = _INFERENCES,
    timeout_seconds: float = 600.0,
) -> Count:
    """Counts the instructions of an inference on one thread.

    Everything the program can see is the same in every run: names, environment, addresses, random bytes, the clock, and
    nothing else runs in it. So its instructions are the same too. The runtimes' allocators settle for a while, which
    the inferences before the first mark are for; the count is the difference between `2 * inferences` and `inferences`
    inferences in one process, by inference.

    Args:
        case: The file; its threads are not looked at, for a count is of one thread.
        input_ids: Token ids of the one input, [length], none of them padding.
        emulator: What to run on.
        cache: Where the compiled plugin and clock are kept.
        warm_up: Inferences before counting starts.
        inferences: As described.
        timeout_seconds: A program that takes longer is given up.

    Returns:
        The count.

    Raises:
        EdgeDistilError: When it cannot be counted here, or the program fails; one line that names the file.
    """
    where = f"{case.name} ({case.path})"
    reason = missing()
    if reason:
        raise EdgeDistilError(reason, where=where)
    plugin, clock = build_libraries(cache)
    with emulator.view() as view, tempfile.TemporaryDirectory(prefix="edgedistil-count-") as out:
        marks, answer = Path(out) / "marks", Path(out) / "answer.json"
        _furnish(view / _INSIDE, case, input_ids, answer, warm_up, inferences)
        command = emulator.command(view, plugin, marks, f"/{_INSIDE}/workload.py")
        try:
            done = subprocess.run(
                command,
                cwd=view,
                env=emulator.environment(clock),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise EdgeDistilError(
                f"counting took longer than {timeout_seconds:g} s", where=where, cure="count a shorter input"
            ) from error
        if done.returncode or not answer.is_file():
            raise EdgeDistilError(_death(done), where=f"{where} on {emulator.cpu}", cure=_CURE)
        found = json.loads(answer.read_text(encoding="utf-8"))
        return Count(_difference(marks, inferences), found["logits"], found["runtime_version"])


def _furnish(folder: Path, case: Case, input_ids: Sequence[int], answer: Path, warm_up: int, inferences: int) -> None:
    """Lays out the program's folder: the runner, the script, the file and the request, under names that never vary."""
    source = Path(runner.__file__).parent
    shutil.copytree(source, folder / "runner", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(workload.__file__, folder / "workload.py")
    model = f"model{case.path.suffix}"
    (folder / model).symlink_to(case.path.resolve())
    request = {
        "runtime": case.runtime,
        "model": model,
        "input_ids": [list(map(int, input_ids))],
        "warm_up": warm_up,
        "inferences": inferences,
        "answer": str(answer),
    }
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")


def _difference(marks: Path, inferences: int) -> dict[str, int]:
    counts = [[int(number) for number in line.split()] for line in marks.read_text(encoding="ascii").splitlines()]
    first, second, third = counts
    each = [round((c - 2 * b + a) / inferences) for a, b, c in zip(first, second, third, strict=True)]
    return {"total": sum(each), **dict(zip(KINDS, each, strict=True))}


def _death(done: subprocess.CompletedProcess[str]) -> str:
    """Says why the program did not answer; qemu tells a signal on standard error and then dies of it too."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode < 0:
        return f"its runtime died of {signal.Signals(-done.returncode).name} while instructions were counted"
    last = f" ({lines[-1][:300]})" if lines else ""
    return f"its instructions could not be counted{last}"
