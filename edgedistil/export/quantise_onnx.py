"""ONNX, dynamic int8: weights signed and per channel, activations unsigned with scales found at run time.

Matrix products take int8 weights; embeddings, which are a table look-up, are stored in int8 and dequantised row by
row. Residuals become sums that ONNX Runtime leaves beside their LayerNorm, which is faster. On x86 without VNNI a
product of U8 and S8 can saturate 16-bit sums, so there the weights keep 7 bits (`reduce_range`); with VNNI, AMX or
ARM's dot product they keep all 8. The same file and range give the same bytes; the range is by default this
processor's.

Measured on a 12 x 384 model on the 872 texts of SST-2 dev, on a processor with VNNI, where nothing saturates: fp32
91.2 %, 8 bits 91.6 % (mean logit difference 0.06 of a spread of 5), 7 bits 90.8 % (0.51, and a largest difference that
fails parity). Unsigned 8-bit weights are as near as signed ones but took 1.5 times as long here; a scale a row of the
embedding instead of one a table changed nothing, as the matrix products make nearly all of the difference.
"""

from __future__ import annotations

import logging
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgedistil.errors import EdgeDistilError, require
from edgedistil.export.onnx_layers import nodes_to_keep
from edgedistil.export.onnx_residuals import sum_residuals

# Of how this writes files, for the key of the stage that keeps them.
VERSION = 3

_OPERATORS = ["MatMul", "Gather"]
_SAFE_FLAGS = ("avx512_vnni", "avx_vnni", "amx_int8")


def quantise_onnx(source: Path, target: Path, *, reduce_range: bool | None = None, keep: Sequence[str] = ()) -> None:
    """Writes the dynamic int8 form of an ONNX file, through optimum's ORTQuantizer.

    Args:
        source: The fp32 file.
        target: Where to write.
        reduce_range: Keep weights to 7 bits. None asks this machine's processor; a file for an old x86 device needs
            True whatever machine makes it.
        keep: Names of layers that stay in fp32 (`edgedistil.export.layer_names`).

    Raises:
        UsageError: When no layer has a name to keep.
        EdgeDistilError: When the quantiser fails.
    """
    require("optimum", "host")
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantizationMode, QuantType
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import QuantizationConfig

    settings = QuantizationConfig(
        is_static=False,
        format=QuantFormat.QOperator,
        mode=QuantizationMode.IntegerOps,
        activations_dtype=QuantType.QUInt8,
        weights_dtype=QuantType.QInt8,
        weights_symmetric=True,
        per_channel=True,
        reduce_range=needs_reduced_range() if reduce_range is None else reduce_range,
        operators_to_quantize=_OPERATORS,
        nodes_to_exclude=_excluded(source, keep) if keep else [],
    )
    logging.getLogger("optimum.onnxruntime.quantization").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        try:
            quantizer = ORTQuantizer(onnx_model_path=source)
            quantizer.quantize(quantization_config=settings, save_dir=scratch, file_suffix="quantized")
        except Exception as error:
            raise EdgeDistilError(f"cannot quantise it ({error})", where=str(source)) from error
        (path,) = Path(scratch).glob("*.onnx")
        made = onnx.load(str(path))
        sum_residuals(made)
        onnx.save(made, str(path))
        path.replace(target)


def _excluded(source: Path, keep: Sequence[str]) -> list[str]:
    """Returns the nodes to leave alone, a Gemm by the name of what ONNX Runtime makes of it before it looks, too."""
    names = nodes_to_keep(source, keep)
    return [*names, *(f"{name}_MatMul" for name in names)]


def needs_reduced_range() -> bool:
    """Returns whether this processor's U8 x S8 products can saturate: x86 without VNNI or AMX."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return True
    return not any(flag in flags for flag in _SAFE_FLAGS)
