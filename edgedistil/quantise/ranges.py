"""What calibration or training found out: how far every matrix product's input reaches, by the name of its module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgedistil.errors import UsageError

Range = tuple[float, float]
"""Least and greatest value that 8 bits express; zero lies between them, so that it is expressed exactly."""


@dataclass(frozen=True)
class Ranges:
    """Ranges of a model's activations; weights need none, as every file's writer takes them from the weights.

    Attributes:
        inputs: By the name of a linear layer, such as `encoder.layers.0.ffn.up`: its input, after any explicit scaling.
            A layer that is not named stays in floating point.
        outputs: By the name of a linear layer: its result. A layer that is not named leaves that to a file's own
            calibration, or to floating point. May be empty.
        operands: By `<attention>:<operand>`, operand one of `query` (before the division by the head's size's root),
            `key`, `probabilities` and `value`: what attention's own two products take. May be empty.

    Raises:
        ValueError: When a range does not hold zero, or is empty.
    """

    inputs: Mapping[str, Range]
    operands: Mapping[str, Range] = field(default_factory=dict)
    outputs: Mapping[str, Range] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = (self.inputs, self.operands, self.outputs)
        for name, (low, high) in (pair for part in parts for pair in part.items()):
            if not low <= 0.0 <= high or low == high:
                raise ValueError(f"the range of {name} is [{low}, {high}]: it must hold zero and more")

    def save(self, path: Path) -> None:
        """Writes the ranges as JSON."""
        facts = {key: dict(getattr(self, key)) for key in _KEYS}
        path.write_text(json.dumps(facts, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Ranges:
        """Reads what `save` wrote.

        Raises:
            UsageError: When the file is missing or holds no ranges.
        """
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            parts = ({name: (float(low), float(high)) for name, (low, high) in facts[key].items()} for key in _KEYS)
            return cls(*parts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"no ranges can be read from it ({error})", where=str(path), cure="calibrate again"
            ) from error


_KEYS = ("inputs", "operands", "outputs")


def scale_and_zero(found: Range, bits: int = 8) -> tuple[float, int]:
    """Returns the step and the unsigned number that stands for zero (Jacob et al. 2018, arXiv 1712.05877, eq. 1).

    Args:
        found: The range.
        bits: Width of a number.
    """
    low, high = found
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale)
