"""Instructions an inference, counted by an emulator: a cost that is the same on every machine and in every run."""

from edgedistil.bench.instructions.counting import KINDS, Count, count_case, missing
from edgedistil.bench.instructions.emulator import Emulator

__all__ = ["KINDS", "Count", "Emulator", "count_case", "missing"]
