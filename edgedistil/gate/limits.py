"""What a bundle may lose against its baseline."""

from __future__ import annotations

from pydantic import Field

from edgedistil.bundle.records import Record


class GateLimits(Record):
    """The limits of a gate; the same keys as a recipe's `gate` section."""

    margin: float = Field(default=0.01, gt=0.0, lt=1.0)
    """How much of the headline score may be lost, as a share: 0.01 is one point."""
    latency_ratio: float = Field(default=1.10, gt=0.0)
    """p50 may be so many times the baseline's, on the same device."""
    size_ratio: float = Field(default=1.05, gt=0.0)
    """File size may be so many times the baseline's."""
    memory_ratio: float = Field(default=1.10, gt=0.0)
    """Peak memory may be so many times the baseline's, on the same device."""
    instructions_ratio: float = Field(default=1.005, gt=0.0)
    """Instructions an inference may be so many times the baseline's, counted on the same emulated processor."""
