"""TFLite, `dynamic_wi8_afp32`: int8 weights per channel, activations quantised at run time, embeddings in int8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgedistil.export.tflite_layers import products_of
from edgedistil.export.tflite_rules import plan, write_quantised


def quantise_tflite(source: Path, target: Path, *, keep: Sequence[str] = ()) -> None:
    """Writes the dynamic int8 form of a TFLite file, through ai-edge-quantizer; the same file gives the same bytes.

    Args:
        source: The fp32 file.
        target: Where to write; replaced.
        keep: Names of layers that stay in fp32 (`edgedistil.export.layer_names`).

    Raises:
        UsageError: When a layer to keep is not in the file.
        EdgeDistilError: When the quantiser fails.
    """
    write_quantised(source, target, plan(products_of(source) if keep else (), lambda _: False, keep))
