"""Which arithmetic a machine trains in: bf16 where its units have it, else fp32."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["bf16", "no"]


def choose_precision() -> Precision:
    """Returns "bf16" where the GPU or the CPU computes it natively, else "no" (fp32).

    Units without bf16 emulate it, slower than fp32.
    """
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    capabilities = torch.cpu.get_capabilities()
    native = any(capabilities.get(flag) for flag in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))
    return "bf16" if native else "no"
