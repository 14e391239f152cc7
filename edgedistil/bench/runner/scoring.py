"""What a file answers on the whole evaluation set, row by row."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence

import numpy as np
import numpy.typing as npt

from .errors import RunnerError
from .evaluation import EvaluationSet
from .runtimes import Runtime

Output = Any
"""By kind: class, int; value, float; tags, a list of one int a token; span, [first token, last token, score]."""

FloatArray = npt.NDArray[np.floating]

_MOST_ANSWER_TOKENS = 30


def predict_all(runtime: Runtime, examples: EvaluationSet, batch: int, tick: Callable[[int], None]) -> List[Output]:
    """Answers every row, shortest first, each at its own length.

    Args:
        runtime: The loaded file.
        examples: The evaluation set.
        batch: Rows a call. 1 is what a device does; a larger one pads, and a dynamically quantised file then
            shares one activation scale over the batch, so that its answers depend on who sits beside whom.
        tick: Told how many rows are done, after each call.

    Returns:
        One output a row, in the set's own order.

    Raises:
        RunnerError: When the file cannot take a row, or answers with something that is no number or of another shape.
    """
    lengths = examples.lengths
    order = np.argsort(lengths, kind="stable")
    outputs: List[Output] = [None] * len(examples)
    for start in range(0, len(order), batch):
        chosen = [int(index) for index in order[start : start + batch]]
        logits = runtime.run(*examples.batch(chosen, int(lengths[chosen].max())))
        for index, output in zip(chosen, decode_rows(examples.kind, logits, examples, chosen)):
            outputs[index] = output
        tick(start + len(chosen))
    return outputs


def decode_rows(kind: str, logits: FloatArray, examples: EvaluationSet, indices: Sequence[int]) -> List[Output]:
    """Turns a batch of logits into one output a row.

    Args:
        kind: The set's kind.
        logits: By kind: class, [b, labels]; value, [b, 1]; tags, [b, s, tags]; span, [b, s, 2], the start's and the
            end's. What stands in padding does not count.
        examples: The set that the rows are of.
        indices: The rows' numbers, [b].

    Returns:
        One `Output` a row.

    Raises:
        RunnerError: When the logits are no numbers or of another shape.
    """
    logits = np.asarray(logits)
    _check(kind, logits, examples, indices)
    decode = _DECODERS[kind]
    return [decode(row, examples, index) for row, index in zip(logits, indices)]


def best_span(starts: FloatArray, ends: FloatArray, allowed: npt.NDArray[np.bool_]) -> List[Any]:
    """Finds the likeliest answer of one row.

    Args:
        starts: Logits of each token being an answer's first, [tokens].
        ends: Logits of each token being its last, [tokens].
        allowed: Which tokens an answer may consist of, [tokens].

    Returns:
        `[first, last, score]` with `first <= last < first + 30` and the largest sum of both logits.

    Raises:
        RunnerError: When no token is allowed.
    """
    places = np.flatnonzero(allowed)
    if not len(places):
        raise RunnerError("a row has no token that an answer could consist of", "prepare the data again")
    scores = starts[places][:, None].astype(np.float64) + ends[places][None, :]
    distance = places[None, :] - places[:, None]
    scores[(distance < 0) | (distance >= _MOST_ANSWER_TOKENS)] = -np.inf
    first, last = np.unravel_index(int(scores.argmax()), scores.shape)
    return [int(places[first]), int(places[last]), float(scores[first, last])]


def _check(kind: str, logits: FloatArray, examples: EvaluationSet, indices: Sequence[int]) -> None:
    if kind not in _DECODERS:
        raise RunnerError(f"nothing is known of rows of kind '{kind}'", f"known are: {', '.join(_DECODERS)}")
    longest = max(int(examples.offsets[index + 1] - examples.offsets[index]) for index in indices)
    shape = logits.shape[1:]
    fits = {
        "class": len(shape) == 1 and shape[0] > 1,
        "value": shape in ((), (1,)),
        "tags": len(shape) == 2 and shape[0] >= longest,
        "span": len(shape) == 2 and shape[0] >= longest and shape[1] == 2,
    }
    if not fits[kind] or len(logits) != len(indices):
        raise RunnerError(
            f"the file answers {len(indices)} rows of up to {longest} tokens with logits of shape {logits.shape}, "
            f"which is nothing of kind '{kind}'",
            "export it for this task again",
        )
    if not np.isfinite(logits).all():
        raise RunnerError(f"the file answers example {examples.ids[indices[0]]} with NaN or infinity")


def _class(logits: FloatArray, examples: EvaluationSet, index: int) -> int:
    del examples, index
    return int(logits.argmax())


def _value(logits: FloatArray, examples: EvaluationSet, index: int) -> float:
    del examples, index
    return float(logits.reshape(-1)[0])


def _tags(logits: FloatArray, examples: EvaluationSet, index: int) -> List[int]:
    length = int(examples.offsets[index + 1] - examples.offsets[index])
    tags: List[int] = logits[:length].argmax(axis=-1).tolist()
    return tags


def _span(logits: FloatArray, examples: EvaluationSet, index: int) -> List[Any]:
    where = examples.slice(index)
    if examples.starts is None:
        raise RunnerError("the evaluation set has no character offsets", "prepare the data again")
    allowed = examples.starts[where] >= 0
    return best_span(logits[: len(allowed), 0], logits[: len(allowed), 1], allowed)


_DECODERS: Dict[str, Callable[[FloatArray, EvaluationSet, int], Output]] = {
    "class": _class,
    "value": _value,
    "tags": _tags,
    "span": _span,
}
