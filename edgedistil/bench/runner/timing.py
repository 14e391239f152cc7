"""The timed loop and the warm-up before it, with nothing in the timed region but the call."""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from typing import Any, Callable, Dict, List, Sequence

Call = Callable[[], Any]

_WINDOW_NS = 100_000_000
_WINDOW_INFERENCES = 5


def block(calls: Sequence[Call], seconds: float, minimum: int) -> List[int]:
    """Times inferences one after the other, cycling through the inputs.

    Args:
        calls: Bound inferences, at least one.
        seconds: Wall time to fill.
        minimum: Inferences to take however long they last, at least 1.

    Returns:
        The time of each, in nanoseconds.
    """
    clock = time.perf_counter_ns
    samples: List[int] = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        end = clock() + int(seconds * 1e9)
        for call in itertools.cycle(calls):
            start = clock()
            call()
            stop = clock()
            samples.append(stop - start)
            if stop >= end and len(samples) >= minimum:
                break
    finally:
        if collecting:
            gc.enable()
    return samples


def warm_up(calls: Sequence[Call], seconds: float, tolerance: float) -> Dict[str, object]:
    """Runs inferences until latency is stable: the medians of two successive windows agree.

    A window lasts a tenth of a second and five inferences, whichever is longer.

    Args:
        calls: Bound inferences, at least one.
        seconds: Gives up after this long.
        tolerance: Largest relative difference between two windows that agree.

    Returns:
        `stable`, whether they came to agree; `inferences` run; `seconds` spent; `median_ms` of the last window.
    """
    start = time.perf_counter_ns()
    previous, inferences = float("inf"), 0
    while True:
        window = block(calls, _WINDOW_NS / 1e9, _WINDOW_INFERENCES)
        median = statistics.median(window)
        inferences += len(window)
        elapsed = (time.perf_counter_ns() - start) / 1e9
        stable = abs(median - previous) <= tolerance * median
        if stable or elapsed >= seconds:
            return {"stable": stable, "inferences": inferences, "seconds": elapsed, "median_ms": median / 1e6}
        previous = median
