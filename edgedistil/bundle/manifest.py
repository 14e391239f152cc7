"""The bundle's manifest, `edgedistil.json`: every file with hash, size, parity and accuracy, and the lineage."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, model_validator

from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.paths import check_path
from edgedistil.bundle.records import Record
from edgedistil.errors import did_you_mean

SCHEMA_VERSION = 1

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
RelativePath = Annotated[str, AfterValidator(check_path)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Score = Annotated[float, Field(ge=-1.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]


def _known_format(name: str | None) -> str | None:
    if name is not None and name not in FORMATS:
        raise ValueError(f"unknown format {name!r}; {did_you_mean(name, FORMATS)}")
    return name


class Parity(Record):
    """How near a file's logits come to those of the PyTorch model, on real text."""

    max_abs: float = Field(ge=0.0)
    """Largest absolute difference of a logit."""
    tolerance: float = Field(ge=0.0)
    """Largest difference that its format is allowed."""
    examples: Count
    """Texts compared."""
    agreement: Share
    """Share of the answers that are the same: of a text's label, or of the tokens'."""


class Accuracy(Record):
    """A score with its 95 % interval, by the file itself."""

    value: Score
    low: Score
    high: Score
    examples: Count
    metric: str = "accuracy"
    """The task's headline metric."""
    others: dict[str, float] = {}  # noqa: RUF012 - pydantic copies it for every record
    """The task's further metrics, by name, without intervals."""
    split: str = "dev"

    @model_validator(mode="after")
    def _ordered(self) -> Accuracy:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"interval {self.low}..{self.high} does not hold the value {self.value}")
        return self


class FileRecord(Record):
    """One file of the bundle."""

    path: RelativePath
    """Relative to the bundle's folder, POSIX."""
    sha256: Sha256
    bytes: Count
    format: Annotated[str | None, AfterValidator(_known_format)] = None
    """Which of `FORMATS` it is; None for a tokenizer, a configuration, an evaluation set."""
    parity: Parity | None = None
    accuracy: Accuracy | None = None


class StageRecord(Record):
    """One stage that the bundle came out of."""

    name: str
    key: str
    """Content key: the same key, the same result."""
    version: int | str
    seconds: float = Field(ge=0.0)
    """Time it took when it was run, not when it was reused."""
    summary: dict[str, Any] = Field(default_factory=dict)
    """What it has to say: scores, shapes, counts."""


class DatasetRecord(Record):
    """The data that trained and judged the model."""

    source: str
    fingerprint: str
    """Hash of the examples."""
    counts: dict[str, Count]
    """Examples a split."""
    licence: str | None = None


class ModelShape(Record):
    """The encoder's shape; layers may be unequal."""

    layers: Count
    hidden_size: Count
    heads: list[Count]
    """Attention heads, a layer each."""
    ffn: list[Count]
    """FFN neurons, a layer each."""
    vocabulary: Count
    parameters: Count

    @model_validator(mode="after")
    def _one_each(self) -> ModelShape:
        if len(self.heads) != self.layers or len(self.ffn) != self.layers:
            raise ValueError(f"{self.layers} layers need as many entries in 'heads' and 'ffn'")
        return self


class Manifest(Record):
    """The whole of `edgedistil.json`."""

    schema_version: Literal[1] = 1
    name: str = Field(min_length=1)
    created: AwareDatetime
    edgedistil_version: str
    task: str
    """What the model does, such as `text-classification`."""
    labels: list[str] = Field(min_length=1)
    """What the logits stand for, in their order: classes, or the one value of a regression, or a token's tags."""
    max_length: int = Field(ge=1)
    """Tokens at which texts are cut, special ones included."""
    sequence_lengths: list[Annotated[int, Field(ge=1)]]
    """Signatures of the TFLite files, in tokens."""
    files: list[FileRecord]
    recipe: dict[str, Any]
    lineage: list[StageRecord]
    packages: dict[str, str]
    """Versions of the packages that made it."""
    seed: int
    dataset: DatasetRecord
    model: ModelShape
    base_model: str | None = None
    """The teacher, as its owner names it: a Hub id where it has one."""
    licence: str | None = None
    """Licence of the weights, an SPDX or Hugging Face identifier; None where it is not known."""

    @model_validator(mode="after")
    def _nothing_twice(self) -> Manifest:
        # Two names that differ in case alone are one file on some systems.
        paths = Counter(record.path.lower() for record in self.files)
        formats = Counter(record.format for record in self.files if record.format)
        twice = [name for name, count in (paths + formats).items() if count > 1]
        if twice:
            raise ValueError(f"'{twice[0]}' is listed twice in 'files'")
        return self

    def record(self, format_name: str) -> FileRecord | None:
        """Returns the file of a format, or None when the bundle has none."""
        return next((record for record in self.files if record.format == format_name), None)
