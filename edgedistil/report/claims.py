"""The project's promises, `benchmarks/claims.json`: each with its bar, what was measured, and whether it holds."""

from __future__ import annotations

import datetime as dt
import operator
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from edgedistil.bundle.records import Record, first_error, read_json
from edgedistil.errors import UsageError

_BAR = re.compile(r"(>=|<=|>|<|==) (-?\d+(?:\.\d+)?(?:e-?\d+)?)")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
_WORDS = {">=": "at least", "<=": "at most", ">": "above", "<": "below", "==": "exactly"}


class Claim(Record):
    """One promise."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(\.[a-z0-9_-]+)+$")]
    """Such as `int8.speed-onnx`; the first word is the room it belongs to."""
    claim: str = Field(min_length=1)
    """The promise, in one sentence."""
    bar: Annotated[str, StringConstraints(pattern=_BAR.pattern.join(("^", "$")))]
    """What it must reach: `>= 3.0`, `<= 0.01`, in `unit`."""
    measured: float
    interval: tuple[float, float] | None
    """95 %; None where the figure is exact."""
    unit: str
    holds: bool
    result: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$")]
    """File under `benchmarks/results/` that the figure is computed from."""
    command: str
    """What made that file."""
    versions: dict[str, str]
    date: dt.date
    machine: str

    @model_validator(mode="after")
    def _consistent(self) -> Claim:
        if self.holds != self.reaches(self.measured):
            raise ValueError(
                f"'holds' is {self.holds}, yet {self.measured:g} against the bar {self.bar} says otherwise"
            )
        if self.interval and not self.interval[0] <= self.measured <= self.interval[1]:
            raise ValueError(f"interval {self.interval} does not hold the measured {self.measured:g}")
        return self

    def reaches(self, value: float) -> bool:
        """Returns whether a value reaches the bar."""
        sign, bound = self.bar.split(" ")
        return _COMPARE[sign](value, float(bound))


_CLAIMS = TypeAdapter(list[Claim])


def read_claims(path: Path) -> list[Claim]:
    """Reads a file of claims.

    Raises:
        UsageError: When it is missing or no JSON, a claim is incomplete or contradicts itself, or an id comes twice.
    """
    value = read_json(path, what="claims file")
    try:
        # From JSON text rather than from Python, so that dates are read from strings and tuples from lists.
        claims = _CLAIMS.validate_json(path.read_bytes())
    except ValidationError as error:
        raise UsageError(_named(error, value), where=str(path)) from None
    twice = [name for name, count in Counter(made.id for made in claims).items() if count > 1]
    if twice:
        raise UsageError(f"claim '{twice[0]}' is there twice", where=str(path))
    return claims


def _named(error: ValidationError, value: object) -> str:
    place = error.errors(include_url=False, include_context=False)[0]["loc"]
    if place and isinstance(value, list) and isinstance(place[0], int) and isinstance(value[place[0]], dict):
        return f"claim '{value[place[0]].get('id', place[0])}': {first_error(error)}"
    return first_error(error)


def markdown_table(claims: Sequence[Claim]) -> str:
    """Returns the claims as the README's table, those that miss their bar said to."""
    lines = ["| claim | bar | measured | holds |", "|---|---:|---:|---|"]
    for made in claims:
        sign, bound = made.bar.split(" ")
        interval = f" ({made.interval[0]:.4g} to {made.interval[1]:.4g})" if made.interval else ""
        link = f"[{_cell(made.claim)}](benchmarks/results/{made.result})"
        lines.append(
            f"| {link} | {_WORDS[sign]} {float(bound):g} {_cell(made.unit)} | {made.measured:.4g}{interval} "
            f"| {'yes' if made.holds else '**no**'} |"
        )
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
