"""The predictions of one file on the whole evaluation set."""

from __future__ import annotations

from typing import Callable, List

import numpy as np

from .errors import RunnerError
from .evaluation import EvaluationSet
from .runtimes import Runtime


def predict_all(runtime: Runtime, examples: EvaluationSet, batch: int, tick: Callable[[int], None]) -> List[int]:
    """Labels every example, shortest first, each at its own length.

    Args:
        runtime: The loaded file.
        examples: The evaluation set.
        batch: Examples a call. 1 is what a device does; a larger one pads, and a dynamically quantised file then
            shares one activation scale over the batch, so that its answers depend on who sits beside whom.
        tick: Told how many examples are done, after each call.

    Returns:
        The label of the largest logit an example, in the set's own order.

    Raises:
        RunnerError: When the file cannot take an example, or answers with something that is no number.
    """
    lengths = examples.lengths
    order = np.argsort(lengths, kind="stable")
    predictions = np.empty(len(examples), dtype=np.int64)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        logits = runtime.run(*examples.batch([int(index) for index in chosen], int(lengths[chosen].max())))
        if not np.isfinite(logits).all():
            raise RunnerError(f"the file answers example {examples.ids[chosen[0]]} with NaN or infinity")
        predictions[chosen] = logits.argmax(axis=-1)
        tick(start + len(chosen))
    return [int(label) for label in predictions]
