"""A recipe's `quantise`: how files of small integers are made, and how much of the score they may cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from edgedistil.recipe.distilling import Distil, Losses, Weight
from edgedistil.recipe.section import Section
from edgedistil.recipe.shipping import SMOOTHED
from edgedistil.recipe.training import FineTune

Method = Literal["mse", "minmax", "percentile", "entropy"]


_USERS = {"calibration": ("onnx-int8-static", "tflite-int8-static"), "activations": ("onnx-int8-static",)}


class SelfLosses(Losses):
    """Weight of each loss where the teacher is the model itself; labels teach nothing about rounding."""

    hard_labels: Weight = 0.0


class QuantisedTraining(FineTune):
    """Training with rounded weights and activations, in which the fp32 model teaches its rounded self."""

    epochs: float = Field(default=1.0, gt=0.0, le=1000.0)
    learning_rate: float = Field(default=5e-5, gt=0.0, lt=1.0)
    temperature: float = Field(default=2.0, gt=0.0, le=100.0)
    """Temperature that softens both distributions."""
    losses: SelfLosses = SelfLosses()
    """As `distil.losses`, without hard labels; the teacher is the fp32 model itself."""
    dropout: float | None = Field(default=0.0, ge=0.0, lt=1.0)
    """What is dropped out: more noise than rounding makes; null for the model's own share."""
    ranges: Literal["learned", "ema", "fixed"] = "learned"
    """Activations' ranges, which begin as the least and greatest values of the calibration rows: `learned` (LSQ), `ema`
    (a moving average of each batch's, padding included; of several processes the main one's) or `fixed`."""

    @model_validator(mode="after")
    def _averages_whole_batches(self) -> Self:
        if self.ranges == "ema" and self.accumulate > 1:
            raise ValueError("'ranges: ema' averages whole batches: leave out 'accumulate', or choose learned")
        return self

    @property
    def as_distil(self) -> Distil:
        """Returns the same as distillation's settings."""
        return Distil.model_validate(self.model_dump(exclude={"ranges"}))


class Quantise(Section):
    """How files of small integers are made, and how much of the score they may cost."""

    LATER: ClassVar[tuple[str, ...]] = ("max_drop", "ship_anyway", "smooth", "backend", "qat")

    calibration: Method = "mse"
    """How static int8 files' ranges are chosen: `mse` (the least squared error of rounding and clipping), `minmax`,
    `percentile` (all but the outermost 0.01 % of the values) or `entropy` (Migacz 2017). `qat` finds its own, and
    Neural Compressor has two ways: `entropy` is its `kl`, anything else its `minmax`; with `max_drop` its autotune
    tries both."""
    calibration_examples: int = Field(default=256, ge=1, le=100_000)
    """Training rows that ranges are found on, drawn by the recipe's seed."""
    activations: Literal["auto", "uint8", "int8"] = "auto"
    """Integers of the ONNX file's activations: `auto` is uint8 for x86 and int8 for ARM, by the bench's device."""
    max_drop: float | None = Field(default=None, ge=0.0, lt=1.0)
    """Largest loss of the dev score against fp32, as a share: 0.005 is half a point of accuracy. Each format of small
    integers leaves the fewest layers in higher precision that keep it; one that cannot is not shipped, and if none can
    the run stops. Scores are of the first of the format's runtimes that the bench's device and this machine have."""
    ship_anyway: bool = False
    """Ship formats that miss `max_drop` too, in the form that comes nearest."""
    smooth: Literal["auto", True, False] = "auto"
    """SmoothQuant for int8 formats: outliers of activations move into the weights where that pays. `auto` makes each
    file both ways and ships the one whose logits on the dev split are nearer to fp32's, unless `qat` or `backend` finds
    ranges: with those only `true` smooths, and static formats alone."""
    backend: Literal["own", "neural-compressor"] = "own"
    """Who finds the static formats' ranges: this package, or Intel Neural Compressor (with `max_drop` its autotune)."""
    qat: QuantisedTraining | None = None
    """Train on with rounded weights and activations, for static formats; `{}` for the defaults."""

    @model_validator(mode="after")
    def _one_source_of_ranges(self) -> Quantise:
        if self.qat is not None and self.backend != "own":
            raise ValueError("'qat' finds its ranges in training: leave out 'backend', or 'qat'")
        if self.ship_anyway and self.max_drop is None:
            raise ValueError("'ship_anyway' is about 'max_drop': name that too, such as 0.005")
        return self

    @property
    def compares_smoothing(self) -> bool:
        """Returns whether int8 files are made both ways, and the nearer to fp32 ships."""
        return self.smooth == "auto" and self.qat is None and self.backend == "own"

    @property
    def prepares(self) -> tuple[str, ...]:
        """Returns what it asks for by name that makes some formats from another model or other ranges."""
        asked = {"smooth": self.smooth is True, "qat": self.qat is not None, "backend": self.backend != "own"}
        return tuple(name for name, wanted in asked.items() if wanted)

    def fits(self, formats: Sequence[str]) -> None:
        """Checks it against `export.formats`.

        Raises:
            ValueError: When something is asked of formats that are not made.
        """
        static = [name for name in formats if name.endswith("-static")]
        ranged = [name for name in self.prepares if name != "smooth"]
        if ranged and not static:
            raise ValueError(
                f"quantise.{ranged[0]} is asked for, whose ranges only static formats use, and none is made: "
                "add onnx-int8-static or tflite-int8-static to export.formats"
            )
        smoothed = [name for name in formats if name in SMOOTHED and (name in static or not ranged)]
        if self.smooth is True and not smoothed:
            kind, such = ("static int8", "-static") if ranged else ("int8", "")
            raise ValueError(
                f"quantise.smooth is asked for, which only {kind} formats use{' here' if ranged else ''}, and none is "
                f"made: add one such as onnx-int8{such} or tflite-int8{such} to export.formats"
            )
        for name, users in _USERS.items():
            asked = getattr(self, name) != type(self).model_fields[name].default
            others = name == "calibration" and self.backend != "own"
            if asked and not others and not set(users).intersection(formats):
                raise ValueError(
                    f"quantise.{name} is asked for, which only {' and '.join(users)} "
                    f"{'use' if users[1:] else 'uses'}: add {' or '.join(users)} to export.formats"
                )
        if self.max_drop is not None and not static and not any("int" in name for name in formats):
            raise ValueError(
                "quantise.max_drop is asked for, and no int8 or int4 format is made: add one such as onnx-int8 or "
                "tflite-int8 to export.formats"
            )
