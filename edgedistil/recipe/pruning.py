"""A recipe's `prune`: what is removed, under which budget."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from edgedistil.recipe.distilling import Distil
from edgedistil.recipe.section import Section, Share
from edgedistil.recipe.shipping import FormatName
from edgedistil.recipe.training import FineTune

BUDGETS = ("parameters", "macs", "latency_ms", "speedup", "size_mb", "targets")
"""The keys of `prune` that name how much may stay: one of them."""

SCORES = ("fisher", "fisher_block", "group_lasso", "magnitude", "obs")
"""The names of the scores in `edgedistil.prune.scores`, which this side of the wall cannot ask."""

_CANDIDATES = 30


class GroupLassoTraining(FineTune):
    """A training on the true labels under reweighted group lasso (Li et al. 2020, arXiv 2009.08065)."""

    epochs: float = Field(default=1.0, gt=0.0, le=1000.0)
    strength: float = Field(default=1e-3, gt=0.0)
    """Weight of the penalty beside the loss."""
    reweight_every: int = Field(default=200, ge=1)
    """Steps between two updates of the groups' weights, 1 / (squared norm + epsilon)."""


class Vocabulary(Section):
    """Which word pieces stay: those of the task's training text, every single letter, and those of general text."""

    text: str | None = None
    """File of general plain text whose pieces stay too: .txt, .jsonl(.gz), .tsv, .csv or .parquet. Left out, only the
    training rows' text counts, with the unlabelled text of the last training."""
    column: str = "text"
    """Key or column of that file which holds the text."""
    limit: int | None = Field(default=None, gt=0)
    """Use only the first so many of its texts."""
    at_least: int = Field(default=1, ge=1)
    """How often a piece must occur in general text to stay."""


class Prune(Section):
    """What is removed, under which budget. Name one budget, `vocabulary`, or both."""

    LATER: ClassVar[tuple[str, ...]] = (
        "latency_ms",
        "speedup",
        "size_mb",
        "targets",
        "format",
        "regroup",
        "local_search",
        "rearrange",
        "rescale",
        "refit",
        "lasso",
        "vocabulary",
    )

    parameters: Share | None = None
    """Share of the encoder's prunable parameters (heads and FFN) to keep; 0.5 removes half."""
    macs: Share | None = None
    """Share of the encoder's prunable multiply-accumulates to keep, counted on a text of `bench.sequence_length`
    tokens, or of `max_length` where that is shorter."""
    latency_ms: float | None = Field(default=None, gt=0.0)
    """Median milliseconds of one text on the bench's device, at its threads and sequence length, in `format`."""
    speedup: float | None = Field(default=None, ge=1.0)
    """How many times faster than the unpruned student, on the bench's device, in `format`."""
    size_mb: float | None = Field(default=None, gt=0.0)
    """Size of the file in `format`, in megabytes (10^6 bytes)."""
    targets: list[Annotated[float, Field(ge=1.0)]] | None = Field(default=None, min_length=1)
    """Speedups to reach one after the other, each from the last and recovered: a family of models, or a gradual way
    to the last. They rise."""
    format: FormatName = "tflite-int8"
    """The file that latency, speedup and size are of, whole in its format: what `quantise` does to the one that ships,
    smoothing or leaving layers in higher precision, comes after. The run ends with what that one comes to."""
    score: str = Field(default="obs", json_schema_extra={"enum": list(SCORES)})
    """How blocks are scored: `obs` (ZipLM's structured step on layer-wise Gram matrices), `fisher` (Kwon et al.: blocks
    by themselves), `fisher_block` (blocks of a layer together), `group_lasso` (Li et al.: a short training under
    reweighted group lasso) or `magnitude`."""
    block: int = Field(default=32, ge=1, le=1024)
    """FFN neurons a block: the tile that the target's kernels work in (16 or 32)."""
    regroup: bool = False
    """Make blocks of FFN neurons that matter equally, instead of neighbours."""
    local_search: int | None = Field(default=None, ge=0, le=10_000)
    """Candidates tried on calibration text around the dynamic programme's choice; 0 tries none. Left out, 30 where no
    training follows (`recover: null`) and none where one does."""
    rearrange: bool = False
    """Swap blocks of a layer where the interaction of their masks says so (Kwon et al.)."""
    rescale: bool = False
    """Scale the heads and the blocks of 32 neurons that stay by least squares on each layer's output (Kwon et al.)."""
    refit: bool | None = None
    """Solve what is left of each layer's outputs anew by least squares, from the first layer on, each behind the pruned
    ones before it: seconds. With candidates of `local_search`, a few choices are solved so, and the one nearest on
    held-out text stays; without, the first choice alone. Left out, it is done where no training follows, which makes
    up for the same."""
    lasso: GroupLassoTraining | None = None
    """The training that `score: group_lasso` looks at; of several `targets`, later ones look at the model before."""
    calibration_examples: int = Field(default=1024, ge=8)
    """Training examples that the Gram matrices are made of."""
    recover: Distil | None = Distil(epochs=2.0)
    """Distillation after the removal; `null` leaves it out. Its unlabelled text is that of `distil`, or its own."""
    vocabulary: Vocabulary | None = None
    """Drop the word pieces that the task never uses, with their embeddings; `{}` for the defaults."""

    @field_validator("score")
    @classmethod
    def _known_score(cls, value: str) -> str:
        if value not in SCORES:
            (nearest,) = get_close_matches(value, SCORES, n=1, cutoff=0.0)
            raise ValueError(f"name a block score such as '{nearest}' (there are {', '.join(SCORES)})")
        return value

    @model_validator(mode="after")
    def _one_budget(self) -> Prune:
        named = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(named) != 1 and (named or self.vocabulary is None):
            raise ValueError(
                "name one budget: 'parameters' or 'macs', a share above 0 and up to 1; "
                "'latency_ms', 'speedup' or 'size_mb'; or 'targets', a list of speedups (or 'vocabulary' alone)"
            )
        if self.targets is not None and list(self.targets) != sorted(set(self.targets)):
            raise ValueError("targets must rise, such as [1.5, 2, 3]")
        return self

    @property
    def has_budget(self) -> bool:
        """Returns whether heads and FFN blocks are removed at all, not only word pieces."""
        return any(getattr(self, name) is not None for name in BUDGETS)

    @property
    def budget(self) -> tuple[Literal["parameters", "macs", "latency_ms", "speedup", "size_mb"], float]:
        """Returns the kind of budget and its amount; of `targets`, the last speedup. Only where it has one."""
        if self.targets is not None:
            return "speedup", self.targets[-1]
        if self.parameters is not None:
            return "parameters", self.parameters
        if self.macs is not None:
            return "macs", self.macs
        if self.latency_ms is not None:
            return "latency_ms", self.latency_ms
        if self.speedup is not None:
            return "speedup", self.speedup
        assert self.size_mb is not None  # noqa: S101 - the validator has seen to it
        return "size_mb", self.size_mb

    @property
    def candidates(self) -> int:
        """Returns how many candidates the local search tries: as asked, or some where no training follows."""
        if self.local_search is not None:
            return self.local_search
        return _CANDIDATES if self.recover is None else 0

    @property
    def refits(self) -> bool:
        """Returns whether the outputs are solved anew: as asked, or where no training makes up for the same."""
        return self.recover is None if self.refit is None else self.refit

    @property
    def expected_share(self) -> float:
        """Returns about how much of the encoder will be left, for estimates of time before anything is measured."""
        kind, amount = self.budget
        if kind in ("parameters", "macs"):
            return amount
        return 1.0 / amount if kind == "speedup" else 0.5
