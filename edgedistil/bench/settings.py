"""How long and how precisely to measure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class BenchSettings(BaseModel):
    """Settings of one bench; the defaults suit models of 1 to 100 ms.

    Attributes:
        relative_width: p50 is measured until half its 95 % interval is at most this share of it.
        max_seconds: Measured seconds a file after which that is given up, and `precise` is False.
        min_blocks: Blocks a file, at least; the interval knows nothing of the machine's drift with fewer than two.
        block_seconds: Wall time of one block, before the next file's turn; less where `max_seconds` holds no
            `min_blocks` of them.
        min_block_samples: Inferences a block however long they take.
        settle: Untimed inferences at the start of a block, while the caches are still another file's.
        warmup_seconds: After this long a file that is still not stable is measured as it is, and flagged.
        warmup_tolerance: Two successive windows whose medians differ by at most this share are stable.
        memory_inferences: Inferences in the process whose peak memory is read.
        latency_inputs: Different inputs cycled through while timing.
        evaluation_batch: Examples a call while scoring; 1 is what a device does.
        seed: Chooses the latency inputs.
        timeout_seconds: A worker that is silent for so long is given up.
        cool_below_c: Every round waits until the device's hottest sensor is below this; None does not wait.
        cool_seconds: Waits no longer than this before one round, and then goes on.
        energy_seconds: Metered seconds a file, where the device has a meter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    relative_width: float = Field(default=0.02, gt=0)
    max_seconds: float = Field(default=20.0, gt=0)
    min_blocks: int = Field(default=8, ge=2)
    block_seconds: float = Field(default=0.25, ge=0)
    min_block_samples: int = Field(default=3, ge=1)
    settle: int = Field(default=3, ge=0)
    warmup_seconds: float = Field(default=10.0, ge=0)
    warmup_tolerance: float = Field(default=0.05, gt=0)
    memory_inferences: int = Field(default=5, ge=1)
    latency_inputs: int = Field(default=8, ge=1)
    evaluation_batch: int = Field(default=1, ge=1)
    seed: int = 0
    timeout_seconds: float = Field(default=600.0, gt=0)
    cool_below_c: float | None = Field(default=None, gt=0)
    cool_seconds: float = Field(default=300.0, gt=0)
    energy_seconds: float = Field(default=3.0, gt=0)

    @property
    def turn_seconds(self) -> float:
        """Wall time of one block: who asks for little time waits for little."""
        return min(self.block_seconds, self.max_seconds / self.min_blocks)
