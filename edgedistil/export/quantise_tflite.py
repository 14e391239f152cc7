"""TFLite, `dynamic_wi8_afp32`: int8 weights per channel, activations quantised at run time, embeddings in int8."""

from __future__ import annotations

from pathlib import Path

from edgedistil.errors import EdgeDistilError, require
from edgedistil.export.tflite import silence


def quantise_tflite(source: Path, target: Path) -> None:
    """Writes the dynamic int8 form of a TFLite file, through ai-edge-quantizer.

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
            made.quantize().export_model(str(target))
    except Exception as error:
        raise EdgeDistilError(f"cannot quantise it ({error})", where=str(source)) from error
