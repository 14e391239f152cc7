"""TFLite, `dynamic_wi8_afp32`: int8 weights per channel, activations quantised at run time, embeddings in int8.

The weights are stored once for all signatures; their scales (12 bytes a channel, a row of the vocabulary being a
channel) would be stored once a signature. They are shared too: a 12 x 384 file of three signatures is 26.5 % of its
fp32 one, not 27.8 %.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.errors import EdgeDistilError, require
from edgedistil.quiet import silence


def quantise_tflite(source: Path, target: Path) -> None:
    """Writes the dynamic int8 form of a TFLite file, through ai-edge-quantizer; the same file gives the same bytes.

    Args:
        source: The fp32 file.
        target: Where to write; replaced.

    Raises:
        EdgeDistilError: When the quantiser fails.
    """
    require("ai_edge_quantizer", "host")
    try:
        with silence():
            from ai_edge_quantizer import quantizer, recipe

            made = quantizer.Quantizer(str(source))
            made.load_quantization_recipe(recipe.dynamic_wi8_afp32())
            target.unlink(missing_ok=True)
            with _equal_scales_once():
                made.quantize().export_model(str(target))
    except Exception as error:
        raise EdgeDistilError(f"cannot quantise it ({error})", where=str(source)) from error


@contextlib.contextmanager
def _equal_scales_once() -> Iterator[None]:
    """Makes the schema's writer store equal quantisation records once a file, as FlatBuffers allows."""
    from ai_edge_litert import schema_py_generated as schema

    record = schema.QuantizationParametersT
    plain = record.Pack
    written: dict[tuple[Any, ...], int] = {}

    def once(self: Any, builder: Any) -> int:
        if self.details is not None:
            return int(plain(self, builder))
        values = (self.scale, self.zeroPoint, self.min, self.max)
        # None is not an empty vector: the key tells them apart, and float32 from int64.
        content = tuple(
            None if value is None else (str(np.asarray(value).dtype), bytes(np.asarray(value))) for value in values
        )
        key = (builder, self.quantizedDimension, *content)
        if key not in written:
            written[key] = plain(self, builder)
        return written[key]

    record.Pack = once
    try:
        yield
    finally:
        record.Pack = plain
