"""ONNX, fp16: for GPUs, whose tensor cores take it; inputs and outputs stay as they are in fp32.

On a CPU it is no faster: ONNX Runtime has few fp16 kernels there and casts around the rest.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from edgedistil.errors import EdgeDistilError, require
from edgedistil.quiet import silence


def convert_onnx_fp16(source: Path, target: Path) -> None:
    """Writes the fp16 form of an ONNX file, through onnxruntime's converter; the same file gives the same bytes.

    Args:
        source: The fp32 file.
        target: Where to write; replaced.

    Raises:
        EdgeDistilError: When it cannot be read or converted.
    """
    require("onnx", "host")
    try:
        with silence():
            from onnxruntime.transformers.float16 import convert_float_to_float16

            made = convert_float_to_float16(onnx.load(str(source)), keep_io_types=True)
            target.unlink(missing_ok=True)
            onnx.save(made, str(target))
    except Exception as error:
        raise EdgeDistilError(f"cannot be converted to fp16 ({error})", where=str(source)) from error
