"""A worker: one process for one file, commanded by JSON lines.

One request a line on standard input, `{"command": ..., further fields}`; one answer a line on standard output,
`{"ok": true, ...}` or `{"ok": false, "error": "one line"}`, with lines `{"done": n, "total": m}` before a slow one.
The process ends with standard input, in the middle of an inference if need be, so that it never outlives whoever
commands it.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from . import conditions, facts, memory, runtimes, timing
from .errors import RunnerError
from .evaluation import EvaluationSet
from .scoring import predict_all

Answer = Dict[str, Any]
Emit = Callable[[Answer], None]

_TICK_SECONDS = 0.5


class Worker:
    """What a worker knows between two requests.

    Args:
        emit: Sends one line; used for progress inside a request.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._runtime: Optional[runtimes.Runtime] = None
        self._calls: List[timing.Call] = []
        self._handlers: Dict[str, Callable[..., Answer]] = {
            "facts": facts.collect,
            "conditions": conditions.collect,
            "load": self._load,
            "prepare": self._prepare,
            "warm_up": self._warm_up,
            "measure": self._measure,
            "memory": self._memory,
            "evaluate": self._evaluate,
        }

    def answer(self, request: Dict[str, Any]) -> Answer:
        """Does what one request asks.

        Args:
            request: `command` and that command's fields.

        Returns:
            The answer; whatever goes wrong is an answer too.
        """
        fields = dict(request)
        command = fields.pop("command", None)
        handler = self._handlers.get(str(command))
        if handler is None:
            known = ", ".join(self._handlers)
            return {"ok": False, "error": f"no command '{command}'; there are: {known}, quit"}
        try:
            return {"ok": True, **handler(**fields)}
        except MemoryError:
            return {"ok": False, "error": "out of memory"}
        except Exception as error:  # noqa: BLE001, the edge of the process: nothing may leave it but a line
            known_error = error if isinstance(error, RunnerError) else RunnerError(f"{type(error).__name__}: {error}")
            return {"ok": False, "error": known_error.what, "cure": known_error.cure}

    def _loaded(self) -> runtimes.Runtime:
        if self._runtime is None:
            raise RunnerError("no file is loaded")
        return self._runtime

    def _prepared(self) -> List[timing.Call]:
        if not self._calls:
            raise RunnerError("no inputs are prepared")
        return self._calls

    def _load(self, runtime: str, path: str, threads: int, sequence_length: Optional[int] = None) -> Answer:
        runtimes.factory_of(runtime)
        before = memory.peak_mb()
        start = time.perf_counter_ns()
        self._runtime = runtimes.create(runtime, path, threads, sequence_length)
        load_ms = (time.perf_counter_ns() - start) / 1e6
        return {"load_ms": load_ms, "runtime_version": self._runtime.version, "runtime_memory_mb": before}

    def _prepare(self, input_ids: List[List[List[int]]]) -> Answer:
        runtime = self._loaded()
        batches = [np.asarray(rows, dtype=np.int64) for rows in input_ids]
        self._calls = [runtime.bind(rows, np.ones_like(rows)) for rows in batches]
        start = time.perf_counter_ns()
        self._prepared()[0]()
        return {"first_ms": (time.perf_counter_ns() - start) / 1e6}

    def _warm_up(self, seconds: float, tolerance: float) -> Answer:
        return timing.warm_up(self._prepared(), seconds, tolerance)

    def _measure(self, seconds: float, minimum: int, settle: int) -> Answer:
        calls = self._prepared()
        for call in (calls * (settle // len(calls) + 1))[:settle]:
            call()
        return {"samples_ns": timing.block(calls, seconds, minimum)}

    def _memory(self, inferences: int) -> Answer:
        timing.block(self._prepared(), 0.0, inferences)
        return {"peak_memory_mb": memory.peak_mb()}

    def _evaluate(self, path: str, batch: int) -> Answer:
        examples = EvaluationSet.load(path)
        told = time.monotonic()

        def tick(done: int) -> None:
            nonlocal told
            if time.monotonic() - told >= _TICK_SECONDS:
                told = time.monotonic()
                self._emit({"done": done, "total": len(examples)})

        predictions = predict_all(self._loaded(), examples, batch, tick)
        return {"ids": examples.ids.tolist(), "labels": examples.labels.tolist(), "predictions": predictions}


def _read_requests(requests: queue.SimpleQueue[bytes]) -> None:
    """Queues the lines of standard input; at its end, ends the process whatever it is doing.

    Reads the descriptor itself: a buffered reader's lock, held by a thread that waits, cannot be taken down at exit.
    """
    rest = b""
    while chunk := os.read(0, 1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            requests.put(line)
    os._exit(0)


def _own_stdout() -> Emit:
    """Keeps standard output for answers, and sends whatever else is printed, by Python or by C, to standard error."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def emit(answer: Answer) -> None:
        stream.write(json.dumps(answer, allow_nan=False) + "\n")
        stream.flush()

    return emit


def _parse(line: bytes) -> Dict[str, Any]:
    try:
        request = json.loads(line)
    except ValueError as error:
        raise RunnerError(f"request is not JSON ({error})") from error
    if not isinstance(request, dict):
        raise RunnerError("request is not a JSON object")
    return request


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Answers requests until told to quit; another module may register a runtime and then call this.

    Args:
        argv: Command line without the program's name; there are no options but `--help`.

    Returns:
        Exit code, 0.
    """
    argparse.ArgumentParser(prog="runner", description=__doc__.partition("\n")[0]).parse_args(argv)
    # Ctrl-C reaches the whole process group; when to end is for the commander to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    emit = _own_stdout()
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    worker = Worker(emit)
    while True:
        try:
            request = _parse(requests.get())
        except RunnerError as error:
            emit({"ok": False, "error": str(error)})
            continue
        if request.get("command") == "quit":
            emit({"ok": True})
            return 0
        emit(worker.answer(request))
