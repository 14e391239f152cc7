"""A recipe's `export`, `bench` and `gate`: the files, where they are measured, what a later one may lose."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgedistil.recipe.section import Section

FormatName = Literal["onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"]
"""The formats that are made unless a recipe says otherwise, and that budgets of latency and size may be of."""

ExportName = Literal[
    "onnx-fp32",
    "onnx-fp16",
    "onnx-int8",
    "onnx-int8-static",
    "onnx-int4",
    "tflite-fp32",
    "tflite-int8",
    "tflite-int8-static",
    "tflite-int16-static",
    "tflite-int4",
]
"""Every format that can be made."""

ALL_FORMATS: tuple[FormatName, ...] = ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8")

SMOOTHED: tuple[ExportName, ...] = ("onnx-int8", "onnx-int8-static", "tflite-int8", "tflite-int8-static")
"""The formats that smoothing may help: activations in 8 bits, and weights that have bits enough to bear outliers."""


class Export(Section):
    """What files are made."""

    formats: list[ExportName] = Field(default=list(ALL_FORMATS), min_length=1)
    """Any of those that `edgedistil schemes` lists."""
    sequence_lengths: list[Annotated[int, Field(ge=4, le=512)]] = Field(default=[32, 64, 128], min_length=1)
    """Lengths in tokens: one signature each in a TFLite file, whose shapes are static."""

    @model_validator(mode="after")
    def _each_once(self) -> Export:
        twice = [name for name in self.formats if self.formats.count(name) > 1]
        if twice:
            raise ValueError(f"formats names '{twice[0]}' more than once")
        return self

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
    """Length in tokens at which latency is measured, batch 1; a shorter `max_length` takes its place."""
    seconds_per_file: float = Field(default=8.0, gt=0.0)
    """Most seconds of timed runs a file."""


class Gate(Section):
    """What a later bundle may lose against the baseline."""

    margin: float = Field(default=0.01, gt=0.0, lt=1.0)
    """Accuracy, or the task's own score, that may be lost, as a share: 0.01 is one point."""
    latency_ratio: float = Field(default=1.10, gt=0.0)
    """p50 may be so many times the baseline's, on the same device."""
    size_ratio: float = Field(default=1.05, gt=0.0)
    """File size may be so many times the baseline's."""
    memory_ratio: float = Field(default=1.10, gt=0.0)
    """Peak memory may be so many times the baseline's, on the same device."""
    instructions_ratio: float = Field(default=1.005, gt=0.0)
    """Instructions an inference may be so many times the baseline's, on the same emulated processor."""
