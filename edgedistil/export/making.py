"""How each format is made: from the model or from another format, with layers left in higher precision or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.formats import FORMATS
from edgedistil.export.calibration import check_rows
from edgedistil.export.onnx import export_onnx
from edgedistil.export.onnx_fp16 import convert_onnx_fp16
from edgedistil.export.onnx_int4 import quantise_onnx_int4
from edgedistil.export.onnx_layers import layers_of_onnx
from edgedistil.export.quantise_onnx import quantise_onnx
from edgedistil.export.quantise_onnx_static import quantise_onnx_static
from edgedistil.export.quantise_tflite import quantise_tflite
from edgedistil.export.quantise_tflite_int4 import int4_layers, quantise_tflite_int4
from edgedistil.export.quantise_tflite_static import quantise_tflite_static, static_layers
from edgedistil.export.range_methods import DEFAULT
from edgedistil.export.ranges_onnx import onnx_ranges
from edgedistil.export.ranges_tflite import tflite_ranges
from edgedistil.export.tflite import export_tflite
from edgedistil.export.tflite_layers import layers_of_tflite
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.quantise.ranges import Range, Ranges
from edgedistil.quantise.scaling import with_unfolded_norms
from edgedistil.recipe.shipping import SMOOTHED


@dataclass(frozen=True)
class Ready:
    """A model made ready for 8 bits: what such files are made from in place of the model itself.

    Attributes:
        model: Smoothed, or trained with rounding.
        ranges: Of its activations, which static files are then of; where it has none, they are calibrated.
        reference: Its logits on the dev rows, as `predict_logits` gives them: what training with rounding has changed
            is no fault of a file.
        where_nearer: It is for those formats alone whose file it brings nearer to the model itself.
    """

    model: EdgeBertHeadModel
    ranges: Ranges
    reference: np.ndarray
    where_nearer: bool = False

    def serves(self, name: str) -> bool:
        """Returns whether a format may be made from it: with ranges a static one, without whatever smoothing helps."""
        return FORMATS[name].scheme.calibrated if self.ranges.inputs else name in SMOOTHED


@dataclass(frozen=True)
class Calibrating:
    """How the formats are made whose activations have ranges found beforehand.

    Attributes:
        rows: Real text of the training split; None when no such format is asked for.
        method: How ranges are chosen: a key of `range_methods.METHODS`.
        activations: `uint8` or `int8`, of the ONNX file.
        reduce_range: Keep the ONNX files' weights to 7 bits; None asks this machine's processor.
        folder: Where the ranges are kept as JSON; None forgets them.
        ready: What they are made from; None for the model itself.
    """

    rows: EvaluationSet | None = None
    method: str = DEFAULT
    activations: str = "uint8"
    reduce_range: bool | None = None
    folder: Path | None = None
    ready: Ready | None = None

    def saved(self, name: str) -> Path | None:
        """Returns where ranges are kept, by a name of what they are of."""
        return None if self.folder is None else self.folder / f"calibration-{name}.json"


@dataclass(frozen=True)
class Job:
    """What files are made from, and where.

    Attributes:
        model: The fp32 model.
        sequence_lengths: TFLite's signatures, in tokens.
        folder: Where the files go.
        calibrating: How static formats are made.
        plain: Formats that are made from the model itself, whatever there is that is ready.
    """

    model: EdgeBertHeadModel
    sequence_lengths: Sequence[int]
    folder: Path
    calibrating: Calibrating = Calibrating()
    plain: frozenset[str] = frozenset()

    def ready_for(self, name: str) -> Ready | None:
        """Returns the ready model that a format is made from; None where that is the model itself."""
        ready = self.calibrating.ready
        return ready if ready is not None and name not in self.plain and ready.serves(name) else None

    def two_formed(self, formats: Sequence[str]) -> list[str]:
        """Returns those of some formats that may be made from the model itself or from the ready one."""
        return [name for name in formats if (ready := self.ready_for(name)) and ready.where_nearer]

    def needs_source(self, name: str) -> bool:
        """Returns whether the model's own fp32 file is needed: to make a format from, or to hold a form against."""
        ready = self.ready_for(name)
        return ready is None or ready.where_nearer

    def saved(self, name: str) -> Path | None:
        """Returns where a static format's ranges are kept, those of either form on their own."""
        form = "-ready" if self.ready_for(name) else ""
        return self.calibrating.saved(f"{name}{form}")

    def place(self, name: str) -> Path:
        """Returns a format's usual path, in a folder that exists."""
        path = self.folder / FORMATS[name].path
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def source(self, name: str) -> Path:
        """Returns the fp32 file that a format is made from; that of a ready model is made when it is first asked for.

        Args:
            name: The format.
        """
        ready = self.ready_for(name)
        if ready is None:
            return self.place(source_of(name))
        path = self.folder / f".ready.{container_of(name)}"
        if not path.is_file():
            if container_of(name) == "onnx":
                export_onnx(ready.model, path)
            else:
                # Where no range of ours is to fit its tensors, the norms may be folded, which is faster.
                model = with_unfolded_norms(ready.model) if ready.ranges.inputs else ready.model
                export_tflite(model, path, self.sequence_lengths)
        return path

    def known_ranges(self, name: str) -> dict[str, Range] | None:
        """Returns the ranges of a static format's tensors, where its model came with some."""
        ready = self.ready_for(name)
        if ready is None or not ready.ranges.inputs:
            return None
        find = onnx_ranges if container_of(name) == "onnx" else tflite_ranges
        return find(self.source(name), ready.model, ready.ranges)

    def tidy(self) -> None:
        """Removes what no bundle is to hold."""
        for path in self.folder.glob(".ready.*"):
            path.unlink()


def container_of(name: str) -> str:
    """Returns the kind of file a format is: `onnx` or `tflite`."""
    return name.partition("-")[0]


def source_of(name: str) -> str:
    """Returns the format that a format is made from, which is therefore made first."""
    return f"{container_of(name)}-fp32"


def _dynamic_onnx(job: Job, target: Path, keep: Sequence[str]) -> None:
    quantise_onnx(job.source("onnx-int8"), target, reduce_range=job.calibrating.reduce_range, keep=keep)


def _static_onnx(job: Job, target: Path, keep: Sequence[str]) -> None:
    using, name = job.calibrating, "onnx-int8-static"
    quantise_onnx_static(
        job.source(name),
        target,
        rows=using.rows,
        method=using.method,
        activations=using.activations,
        reduce_range=using.reduce_range,
        saved=job.saved(name),
        ranges=job.known_ranges(name),
        keep=keep,
    )


def _static_tflite(
    job: Job, target: Path, keep: Sequence[str], name: str, activations: Literal["int8", "int16"]
) -> None:
    using = job.calibrating
    quantise_tflite_static(
        job.source(name),
        target,
        rows=check_rows(using.rows),
        activations=activations,
        keep=keep,
        method=using.method,
        calibration=job.saved(name),
        ranges=job.known_ranges(name),
    )


@dataclass(frozen=True)
class Quantiser:
    """How a format of small integers is made.

    Attributes:
        write: Writes it to a path, with the layers named left in higher precision.
        layers: Says which layers of its fp32 file that can be.
        rank: What it costs on a device beside the container's others, estimated: the smallest first.
    """

    write: Callable[[Job, Path, Sequence[str]], None]
    layers: Callable[[Path], Sequence[str]]
    rank: int


QUANTISERS: dict[str, Quantiser] = {
    "onnx-int4": Quantiser(
        lambda job, target, keep: quantise_onnx_int4(job.source("onnx-int4"), target, keep=keep), layers_of_onnx, 0
    ),
    "tflite-int4": Quantiser(
        lambda job, target, keep: quantise_tflite_int4(job.source("tflite-int4"), target, keep=keep), int4_layers, 0
    ),
    "onnx-int8-static": Quantiser(_static_onnx, layers_of_onnx, 1),
    "tflite-int8-static": Quantiser(
        lambda job, target, keep: _static_tflite(job, target, keep, "tflite-int8-static", "int8"), static_layers, 1
    ),
    "onnx-int8": Quantiser(_dynamic_onnx, layers_of_onnx, 2),
    "tflite-int8": Quantiser(
        lambda job, target, keep: quantise_tflite(job.source("tflite-int8"), target, keep=keep), layers_of_tflite, 2
    ),
    "tflite-int16-static": Quantiser(
        lambda job, target, keep: _static_tflite(job, target, keep, "tflite-int16-static", "int16"),
        lambda path: static_layers(path, "int16"),
        3,
    ),
}
"""The formats that can have layers in higher precision."""


def _whole(name: str) -> Callable[[Job], None]:
    return lambda job: QUANTISERS[name].write(job, job.place(name), ())


EXPORTERS: dict[str, Callable[[Job], None]] = {
    "onnx-fp32": lambda job: export_onnx(job.model, job.place("onnx-fp32")),
    "onnx-fp16": lambda job: convert_onnx_fp16(job.place("onnx-fp32"), job.place("onnx-fp16")),
    **{name: _whole(name) for name in ("onnx-int8", "onnx-int8-static", "onnx-int4")},
    "tflite-fp32": lambda job: export_tflite(job.model, job.place("tflite-fp32"), job.sequence_lengths),
    **{name: _whole(name) for name in ("tflite-int8", "tflite-int8-static", "tflite-int16-static", "tflite-int4")},
}
"""Every format, a container's fp32 file before those that are made from it."""
