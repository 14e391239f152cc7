"""A worker: one process for one file, commanded by JSON lines.

One request a line on standard input, `{"command": ..., further fields}`; one answer a line on standard output,
`{"ok": true, ...}` or `{"ok": false, "error": "one line"}`, with lines `{"done": n, "total": m}` before a slow one. An
error has `"short": true` where the device has too little of something, whatever the file. The process ends with
standard input, in the middle of an inference if need be, so that it never outlives whoever commands it; with
`--patience`, also when nothing, not even an empty line, has come for so long: a link can die without a word. A
request's `keep` names a file in which its answer is kept, and from which the same request is answered again.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import select
import signal
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from . import conditions, energy, facts, memory, runtimes, timing
from .errors import RunnerError, ShortError
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
            "temperature": lambda: {"temperature_c": conditions.temperature_c()},
            "load": self._load,
            "prepare": self._prepare,
            "warm_up": self._warm_up,
            "measure": self._measure,
            "memory": self._memory,
            "energy": lambda seconds: energy.measure(self._prepared(), seconds),
            "evaluate": self._evaluate,
        }

    def answer(self, request: Dict[str, Any]) -> Answer:
        """Does what one request asks.

        Args:
            request: `command`, that command's fields, and perhaps `keep`.

        Returns:
            The answer; whatever goes wrong is an answer too.
        """
        fields = dict(request)
        command, keep = fields.pop("command", None), fields.pop("keep", None)
        handler = self._handlers.get(str(command))
        if handler is None:
            known = ", ".join(self._handlers)
            return {"ok": False, "error": f"no command '{command}'; there are: {known}, quit"}
        try:
            return {"ok": True, **(_kept(Path(keep), handler, fields) if keep else handler(**fields))}
        except MemoryError:
            return {"ok": False, "error": "out of memory", "short": True}
        except Exception as error:  # noqa: BLE001, the edge of the process: nothing may leave it but a line
            known_error = error if isinstance(error, RunnerError) else RunnerError(f"{type(error).__name__}: {error}")
            told = {"ok": False, "error": known_error.what, "cure": known_error.cure}
            return {**told, "short": True} if isinstance(error, ShortError) else told

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
        samples = timing.block(calls, seconds, minimum)
        return {"samples_ns": samples, "throttle_flags": conditions.throttle_flags()}

    def _memory(self, inferences: int) -> Answer:
        timing.block(self._prepared(), 0.0, inferences)
        found = {"peak_memory_mb": memory.peak_mb()}
        device_mb = getattr(self._loaded(), "device_memory_mb", None)
        return {**found, "device_memory_mb": device_mb()} if device_mb else found

    def _evaluate(self, path: str, batch: int) -> Answer:
        examples = EvaluationSet.load(path)
        told = time.monotonic()

        def tick(done: int) -> None:
            nonlocal told
            if time.monotonic() - told >= _TICK_SECONDS:
                told = time.monotonic()
                self._emit({"done": done, "total": len(examples)})

        outputs = predict_all(self._loaded(), examples, batch, tick)
        return {"ids": examples.ids.tolist(), "kind": examples.kind, "outputs": outputs}


def _kept(path: Path, handler: Callable[..., Answer], fields: Dict[str, Any]) -> Answer:
    """Answers from a file, or anew and into the file, which appears whole or not at all."""
    try:
        found: Answer = json.loads(path.read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        answer = handler(**fields)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(answer, allow_nan=False), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ShortError(f"{path.parent}: cannot be written ({error.strerror})", "free room there") from error
    return answer


def _read_requests(requests: queue.SimpleQueue[bytes], patience: Optional[float]) -> None:
    """Queues the lines of standard input; at its end, ends the process whatever it is doing.

    Reads the descriptor itself: a buffered reader's lock, held by a thread that waits, cannot be taken down at exit.
    """
    rest = b""
    while select.select([0], [], [], patience)[0]:
        chunk = os.read(0, 1 << 16)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, lines):
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
        argv: Command line without the program's name.

    Returns:
        Exit code, 0.
    """
    parser = argparse.ArgumentParser(prog="runner", description=__doc__.partition("\n")[0])
    parser.add_argument("--patience", type=float, help="end when nothing has come for so many seconds")
    patience = parser.parse_args(argv).patience
    # Ctrl-C reaches the whole process group; when to end is for the commander to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    emit = _own_stdout()
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests, patience), daemon=True).start()
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
