"""Parity: every exported file against the PyTorch model it came from, on real text, tolerance by format.

An fp32 file differs by the order of its sums alone. A dynamic int8 file rounds weights and activations, so its
logits move; what must not move much is the answer, and what must not happen is a logit far off, the sign of a
saturated product or a wrong scale.

A reference is what `predict_logits` gives: [rows, labels], or for tags and spans [tokens, labels], the rows' real
tokens one after the other. Answers compared are a text's label, a token's tag, or the likeliest span of a window; a
value has none, so that its difference alone counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.runner.scoring import best_span
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.manifest import Parity
from edgedistil.errors import EdgeDistilError
from edgedistil.quiet import silence

PER_TOKEN = ("tags", "span")
"""Kinds of sets whose rows have a logit a token."""

_ANSWERS = {"class": "labels", "tags": "tags", "span": "spans"}


@dataclass(frozen=True)
class Tolerance:
    """What a format may differ by.

    Attributes:
        absolute: Largest difference of any logit that needs no look at the logits' size.
        relative: The same, as a share of the reference logits' spread (the larger of the two counts).
        agreement: Least share of texts given the same label, or of tokens given the same tag.
        spans: Least share of windows given the same span, of which a weak reader has many that are as likely.
        nearly_all: Of a logit a token, the share that must be within the limit.
        farthest: How often the limit the rest of those may differ by.
    """

    absolute: float
    relative: float
    agreement: float
    spans: float
    nearly_all: float = 0.999
    farthest: float = 2.0

    def limit(self, reference: np.ndarray) -> float:
        """Returns the largest difference allowed against these logits."""
        return max(self.absolute, self.relative * float(np.ptp(reference)))


# Of a logit a token there are tens of thousands, and the farthest of so many is far out: in a rounded file nearly all
# must be within the limit, none beyond twice. XQuAD dev, 6 x 384 pruned, ONNX dynamic int8, 32,542 logits with a limit
# of 1.75: the farthest 2.02, 99.9 % within 1.07, and 92 % of spans the same. An fp32 file has no such excuse.
_FP32 = Tolerance(absolute=1e-4, relative=1e-5, agreement=0.999, spans=0.99, nearly_all=1.0, farthest=1.0)

# Largest difference over SST-2 dev, 6 x 384, as a share of the logits' spread of 6.2: fp16 0.001, static int8 0.10,
# int4 0.15, dynamic int8 0.21 over all 872 texts. Same labels: 100, 98.9, 98.9 and 98.9 %.
# Spans: heads of random weights on 12 x 384 and 4 x 384, to which all spans are nearly as likely, agreed on 79 to 96 %
# of 48 windows in int8.
TOLERANCES: dict[str, Tolerance] = {
    "onnx-fp32": _FP32,
    "tflite-fp32": _FP32,
    "onnx-int8": Tolerance(absolute=0.05, relative=0.20, agreement=0.95, spans=0.7),
    "tflite-int8": Tolerance(absolute=0.05, relative=0.20, agreement=0.95, spans=0.7),
    "onnx-fp16": Tolerance(absolute=0.02, relative=0.01, agreement=0.99, spans=0.95),
    "onnx-int8-static": Tolerance(absolute=0.05, relative=0.20, agreement=0.95, spans=0.7),
    "onnx-int4": Tolerance(absolute=0.1, relative=0.30, agreement=0.93, spans=0.6),
    "tflite-int8-static": Tolerance(absolute=0.05, relative=0.20, agreement=0.95, spans=0.7),
    "tflite-int16-static": Tolerance(absolute=0.05, relative=0.20, agreement=0.95, spans=0.7),
    "tflite-int4": Tolerance(absolute=0.1, relative=0.30, agreement=0.93, spans=0.6),
}


class ParityError(EdgeDistilError):
    """An exported file that does not compute what its model does."""


def first_rows(reference: np.ndarray, evaluation: EvaluationSet, most_rows: int, most_tokens: int) -> np.ndarray:
    """Returns the reference of a set's first rows: at most so many, and at most so many tokens; at least one row."""
    ends = np.asarray(evaluation.offsets[1:])
    rows = max(1, min(most_rows, int(np.searchsorted(ends, most_tokens, side="right"))))
    return reference[: int(ends[min(rows, len(ends)) - 1])] if evaluation.kind in PER_TOKEN else reference[:rows]


def check_parity(path: Path, format_name: str, reference: np.ndarray, evaluation: EvaluationSet) -> Parity:
    """Compares a file with the PyTorch model.

    Args:
        path: The exported file.
        format_name: Its format, a key of `TOLERANCES`.
        reference: The model's logits for the first rows of the set: [rows, labels], or for tags and spans
            [tokens of those rows, labels].
        evaluation: Real text as token ids.

    Returns:
        The differences, all within tolerance.

    Raises:
        ParityError: When the file cannot be run, gives no finite numbers, or differs by more than its format may.
    """
    allowed = TOLERANCES[format_name]
    rows = rows_of(reference, evaluation)
    logits = logits_of(path, format_name, evaluation, rows)
    if logits.shape != reference.shape:
        raise ParityError(
            f"it gives logits of shape {list(logits.shape)}, PyTorch {list(reference.shape)}",
            where=_where(format_name),
        )
    if not np.isfinite(logits).all():
        raise ParityError("it gives logits that are not finite numbers", where=_where(format_name))
    limit, apart = allowed.limit(reference), np.abs(logits - reference)
    worst, near = float(apart.max()), True
    if evaluation.kind in PER_TOKEN:
        near, limit = float(np.quantile(apart, allowed.nearly_all)) <= limit, allowed.farthest * limit
    agreement = _agreement(logits, reference, evaluation, rows)
    least = allowed.spans if evaluation.kind == "span" else allowed.agreement
    if worst > limit or not near or agreement < least:
        answers = _ANSWERS.get(evaluation.kind, "labels")
        often = "" if near or worst > limit else f", by more than {limit / allowed.farthest:.3g} too often,"
        raise ParityError(
            f"it differs from PyTorch by up to {worst:.3g} in a logit (allowed {limit:.3g}){often} and agrees on "
            f"{100 * agreement:.1f} % of {answers} (at least {100 * least:.1f} %) over {rows} texts",
            where=_where(format_name),
            cure="ship another format, or report it",
        )
    return Parity(max_abs=worst, tolerance=limit, examples=rows, agreement=agreement)


def rows_of(reference: np.ndarray, evaluation: EvaluationSet) -> int:
    """Returns how many of a set's first rows a reference is of."""
    if evaluation.kind not in PER_TOKEN:
        return len(reference)
    return int(np.searchsorted(evaluation.offsets, len(reference)))


def _agreement(logits: np.ndarray, reference: np.ndarray, evaluation: EvaluationSet, rows: int) -> float:
    if evaluation.kind == "value":
        return 1.0
    if evaluation.kind == "span":
        places = [evaluation.slice(row) for row in range(rows)]
        return float(np.mean([_span(logits, evaluation, at) == _span(reference, evaluation, at) for at in places]))
    return float((logits.argmax(axis=1) == reference.argmax(axis=1)).mean())


def _span(logits: np.ndarray, evaluation: EvaluationSet, where: slice) -> list[int]:
    assert evaluation.starts is not None  # noqa: S101 - a set of kind span has them
    found: list[int] = best_span(logits[where, 0], logits[where, 1], evaluation.starts[where] >= 0)[:2]
    return found


def logits_of(path: Path, format_name: str, evaluation: EvaluationSet, rows: int) -> np.ndarray:
    """Returns a file's logits on a set's first rows, shaped as a reference: each row is run alone, at its own length.

    Args:
        path: The file.
        format_name: Its format, whose usual runtime runs it.
        evaluation: Real text as token ids.
        rows: How many.

    Raises:
        ParityError: When it cannot be run.
    """
    found = []
    try:
        with silence():
            runtime = runtimes.create(FORMATS[format_name].runtime, str(path), threads=1)
            for index in range(rows):
                input_ids, mask = evaluation.batch([index], int(evaluation.lengths[index]))
                logits = runtime.run(input_ids, mask)
                found.append(logits[0] if evaluation.kind in PER_TOKEN else logits)
            runtime.close()
    except RunnerError as error:
        raise ParityError(f"it cannot be run ({error})", where=_where(format_name)) from error
    return np.concatenate(found)


def _where(format_name: str) -> str:
    return FORMATS[format_name].title
