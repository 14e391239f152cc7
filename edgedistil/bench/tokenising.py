"""How long a text takes to become token ids, which no latency holds: a device may have them made elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.stats import Bounds, quantile_interval
from edgedistil.tokeniser import read_tokeniser

_TEXTS = 32
_ROUNDS = 8


def time_tokeniser(path: Path, tokens: EvaluationSet, length: int) -> Bounds:
    """Times texts of one length on this machine, one at a time.

    The texts are those of the evaluation set, put back together from its token ids and as long as the timed inputs.

    Args:
        path: A `tokenizer.json`.
        tokens: The evaluation set.
        length: Tokens a text, about.

    Returns:
        The median milliseconds a text.
    """
    tokeniser = read_tokeniser(path.parent)
    texts = [tokeniser.decode(row) for row in tokens.packed(length, _TEXTS).tolist()]
    samples = []
    # The first round fills the tokeniser's cache of words, as every text but a process's first finds it.
    for _ in range(_ROUNDS + 1):
        for text in texts:
            start = time.perf_counter_ns()
            tokeniser.encode(text)
            samples.append((time.perf_counter_ns() - start) / 1e6)
    return quantile_interval(samples[_TEXTS:], 0.5, [_TEXTS] * _ROUNDS)
