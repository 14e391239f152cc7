"""Parity: every exported file against the PyTorch model it came from, on real text, tolerance by format.

An fp32 file differs by the order of its sums alone. A dynamic int8 file rounds weights and activations, so its
logits move; what must not move much is the label, and what must not happen is a logit far off, the sign of a
saturated product or a wrong scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.manifest import Parity
from edgedistil.errors import EdgeDistilError
from edgedistil.export.tflite import silence


@dataclass(frozen=True)
class Tolerance:
    """What a format may differ by.

    Attributes:
        absolute: Largest difference of any logit that needs no look at the logits' size.
        relative: The same, as a share of the reference logits' spread (the larger of the two counts).
        agreement: Least share of examples given the same label.
    """

    absolute: float
    relative: float
    agreement: float

    def limit(self, reference: np.ndarray) -> float:
        """Returns the largest difference allowed against these logits, [examples, labels]."""
        return max(self.absolute, self.relative * float(np.ptp(reference)))


TOLERANCES: dict[str, Tolerance] = {
    "onnx-fp32": Tolerance(absolute=1e-4, relative=1e-5, agreement=0.999),
    "tflite-fp32": Tolerance(absolute=1e-4, relative=1e-5, agreement=0.999),
    "onnx-int8": Tolerance(absolute=0.05, relative=0.20, agreement=0.95),
    "tflite-int8": Tolerance(absolute=0.05, relative=0.20, agreement=0.95),
}


class ParityError(EdgeDistilError):
    """An exported file that does not compute what its model does."""


def check_parity(path: Path, format_name: str, reference: np.ndarray, evaluation: EvaluationSet) -> Parity:
    """Compares a file with the PyTorch model.

    Args:
        path: The exported file.
        format_name: Its format, a key of `TOLERANCES`.
        reference: The model's logits for the first examples of the set, [examples, labels].
        evaluation: Real text as token ids.

    Returns:
        The differences, all within tolerance.

    Raises:
        ParityError: When the file cannot be run, gives no finite numbers, or differs by more than its format may.
    """
    allowed = TOLERANCES[format_name]
    logits = _run(path, format_name, evaluation, len(reference))
    if not np.isfinite(logits).all():
        raise ParityError("it gives logits that are not finite numbers", where=_where(format_name))
    limit = allowed.limit(reference)
    worst = float(np.abs(logits - reference).max())
    agreement = float((logits.argmax(axis=1) == reference.argmax(axis=1)).mean())
    if worst > limit or agreement < allowed.agreement:
        raise ParityError(
            f"it differs from PyTorch by up to {worst:.3g} in a logit (allowed {limit:.3g}) and agrees on "
            f"{100 * agreement:.1f} % of labels (at least {100 * allowed.agreement:.1f} %) over {len(reference)} texts",
            where=_where(format_name),
            cure="ship another format, or report it",
        )
    return Parity(max_abs=worst, tolerance=limit, examples=len(reference), agreement=agreement)


def _run(path: Path, format_name: str, evaluation: EvaluationSet, examples: int) -> np.ndarray:
    rows = []
    try:
        with silence():
            runtime = runtimes.create(FORMATS[format_name].runtime, str(path), threads=1)
            for index in range(examples):
                input_ids, mask = evaluation.batch([index], int(evaluation.lengths[index]))
                rows.append(runtime.run(input_ids, mask))
            runtime.close()
    except RunnerError as error:
        raise ParityError(f"it cannot be run ({error})", where=_where(format_name)) from error
    return np.concatenate(rows)


def _where(format_name: str) -> str:
    return FORMATS[format_name].title
