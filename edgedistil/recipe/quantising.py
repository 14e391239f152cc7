"""A recipe's `quantise`: how the files are made whose activations have ranges found beforehand."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgedistil.recipe.section import Section

Method = Literal["minmax", "percentile", "entropy"]


class Quantise(Section):
    """How static formats, such as onnx-int8-static, are calibrated."""

    calibration: Method = "percentile"
    """How ranges are found: `minmax`, `percentile` (all but the outermost 0.01 % of the values) or `entropy` (Migacz
    2017). Of the ONNX file; TFLite's has rules of its own."""
    calibration_examples: int = Field(default=256, ge=1, le=100_000)
    """Training rows that ranges are found on, drawn by the recipe's seed."""
    activations: Literal["auto", "uint8", "int8"] = "auto"
    """Integers of the ONNX file's activations: `auto` is uint8 for x86 and int8 for ARM, by the bench's device."""
