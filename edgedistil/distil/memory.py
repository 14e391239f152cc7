"""Keeping freed memory: a step's large tensors are the next step's, and fetching fresh pages costs a fifth of it."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
_LARGEST = 1 << 30


def keep_freed_memory() -> bool:
    """Tells glibc's allocator to reuse large blocks rather than give each back to the system.

    The gradient of a word embedding alone is tens of megabytes, made anew each step.

    Returns:
        Whether the C library took it; another one than glibc is left alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, _LARGEST))
