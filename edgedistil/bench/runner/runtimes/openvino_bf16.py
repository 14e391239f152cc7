"""OpenVINO on a CPU that has bf16 (AVX-512 BF16, AMX): what is not quantised is computed in it.

A runtime of its own, as its answers are not those of `openvino`: bf16 keeps 8 bits of the significand.
"""

from __future__ import annotations

from typing import Optional

from ..errors import RunnerError
from .openvino import OpenVinoModel, openvino


class OpenVinoBf16Model(OpenVinoModel):
    """An ONNX file whose floating-point nodes compute in bf16."""

    name = "openvino-bf16"


def load(path: str, threads: int, sequence_length: Optional[int]) -> OpenVinoBf16Model:
    """Loads an ONNX file.

    Raises:
        RunnerError: When the processor has no bf16: it would be emulated, or left out without a word.
    """
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise RunnerError("this processor has no bf16", "use the runtime openvino")
    return OpenVinoBf16Model(path, threads, "bf16", sequence_length)
