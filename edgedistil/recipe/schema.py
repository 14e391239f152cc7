"""A recipe: every key that its YAML may hold, with unit, bounds and default; the parts' models are in files beside."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from edgedistil.errors import UsageError
from edgedistil.recipe.data import Data
from edgedistil.recipe.distilling import Distil, DistilStage, LayerMap, Losses, StageLosses
from edgedistil.recipe.general import General, GeneralLosses, GeneralText
from edgedistil.recipe.pruning import GroupLassoTraining, Prune, Vocabulary
from edgedistil.recipe.quantising import Quantise, QuantisedTraining
from edgedistil.recipe.section import Section, Share
from edgedistil.recipe.shipping import ALL_FORMATS, Bench, Export, FormatName, Gate
from edgedistil.recipe.teaching import Checkpoint, Student, Teacher
from edgedistil.recipe.training import FineTune
from edgedistil.recipe.weights import Ramp, Weight, peak_weight, weight_at

__all__ = [
    "ALL_FORMATS",
    "Bench",
    "Checkpoint",
    "Data",
    "Distil",
    "DistilStage",
    "Export",
    "FineTune",
    "FormatName",
    "Gate",
    "General",
    "GeneralLosses",
    "GeneralText",
    "GroupLassoTraining",
    "LayerMap",
    "Losses",
    "Prune",
    "Quantise",
    "QuantisedTraining",
    "Ramp",
    "Recipe",
    "Section",
    "Share",
    "StageLosses",
    "Student",
    "Teacher",
    "Vocabulary",
    "Weight",
    "json_schema",
    "peak_weight",
    "weight_at",
]

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class Recipe(Section):
    """One artefact: a teacher, a task's data, a student, a budget, formats, a device to judge it on."""

    name: Name
    """Names the folder under runs/."""
    task: Literal[
        "text-classification", "pair-classification", "regression", "token-classification", "question-answering"
    ] = "text-classification"
    """What the model does."""
    data: Data | None = None
    """Left out, the student is distilled over `general.text` alone, for any task to come."""
    max_length: int = Field(default=128, ge=4, le=512)
    """Longest text in tokens; longer ones are cut."""
    teacher: Teacher
    joined_layers: int = Field(default=1, ge=1, le=24)
    """Last layers whose states the head of token classification reads, joined (multi-depth)."""
    student: Student = Student()
    general: GeneralText | None = None
    """Distil the student over plain text first: a better start, or all there is where no task data exists."""
    distil: Distil = Distil()
    prune: Prune | None = None
    quantise: Quantise | None = None
    export: Export = Export()
    bench: Bench = Bench()
    gate: Gate = Gate()
    seed: int = Field(default=42, ge=0, lt=2**32)
    """Seed of every shuffle, split and dropout."""

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> Recipe:
        if self.data is None and self.general is None:
            raise ValueError("it has neither 'data' (a task's examples) nor 'general' (plain text to learn from)")
        if self.joined_layers > 1 and self.task != "token-classification":
            raise ValueError("joined_layers is an option of the token-classification task's head")
        if self.joined_layers > self.student.layers:
            raise ValueError(f"joined_layers is {self.joined_layers}, and the student has {self.student.layers} layers")
        return self

    @model_validator(mode="after")
    def _task_reads_its_data(self) -> Recipe:
        if self.data is not None:
            self.data.fits(self.task)
        return self

    @model_validator(mode="after")
    def _quantised_files_are_made(self) -> Recipe:
        if self.quantise is not None:
            self.quantise.fits(self.export.formats)
        return self

    @model_validator(mode="after")
    def _outputs_are_kept_once(self) -> Recipe:
        recover = self.prune.recover if self.prune else None
        if recover and not recover.unlabelled and recover.teacher_outputs not in ("auto", self.distil.teacher_outputs):
            raise ValueError(
                "prune.recover.teacher_outputs: recovery reads the outputs that distil made, as it has no 'unlabelled' "
                "text of its own; set distil.teacher_outputs"
            )
        return self

    @property
    def examples(self) -> Data:
        """Returns the task's data.

        Raises:
            UsageError: When the recipe has none.
        """
        if self.data is None:
            raise UsageError(
                "the recipe has no 'data': it ends with general distillation",
                where=self.name,
                cure="run: edgedistil general RECIPE, or name a task's examples",
            )
        return self.data

    @property
    def bench_length(self) -> int:
        """Returns the tokens of the text that is measured: as `bench` has it, but never longer than a text can be."""
        return min(self.bench.sequence_length, self.max_length)

    @model_validator(mode="after")
    def _lengths_agree(self) -> Recipe:
        longest = max(self.export.sequence_lengths)
        if self.max_length > longest and any(f.startswith("tflite") for f in self.export.formats):
            raise ValueError(
                f"max_length {self.max_length} is above the longest TFLite signature ({longest}): "
                f"add {self.max_length} to export.sequence_lengths, or lower max_length"
            )
        if self.bench.sequence_length > longest:
            raise ValueError(
                f"bench.sequence_length {self.bench.sequence_length} is above the longest of "
                f"export.sequence_lengths ({longest})"
            )
        return self


def json_schema() -> dict[str, Any]:
    """Returns the JSON schema of a recipe, for editors that check YAML as it is typed."""
    return Recipe.model_json_schema()
