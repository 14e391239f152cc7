"""A stage: hashed inputs and parameters in, one folder out.

Its key is a hash of its name, version, parameters and inputs' keys, so the same recipe again does no work and a
changed value redoes exactly the stages that depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgedistil.hashing import hash_value
from edgedistil.progress import Progress


@dataclass(frozen=True)
class StageContext:
    """What a stage's work is given.

    Attributes:
        folder: Where its results go; becomes visible only when the work is done.
        scratch: Kept when a run is killed, removed when the stage is done: checkpoints.
        inputs: The finished folders of the stages before it, by name.
        progress: Where bars and lines are shown.
    """

    folder: Path
    scratch: Path
    inputs: Mapping[str, Path]
    progress: Progress


@dataclass(frozen=True)
class Effort:
    """How much work a stage is, for the estimate of its time.

    Attributes:
        operations: Floating-point operations, multiply and add counted apart; 0 when time does not follow them.
        seconds: Time that passes whatever the machine's speed.
        disk: Bytes that the stage will write.
    """

    operations: float = 0.0
    seconds: float = 0.0
    disk: int = 0


@dataclass(frozen=True)
class Stage:
    """One stage of a plan.

    Attributes:
        name: Unique in its plan; a verb's result, such as `distil`.
        version: Raised when the stage's code changes what it makes.
        parameters: JSON-able values that its result depends on.
        inputs: Stages before it, by the name under which the work opens them.
        work: Fills the context's folder; returns a JSON-able summary.
        fingerprints: Hashes of what it reads from outside the plan (data files, a checkpoint).
        effort: For the estimate.
        together: Whether, of several processes, all take part: the work trains.
        passing: Whether only the stages after it read its files: where those are done, it is not made again.
        read_as: What the key of a stage that reads it is made of in place of its own: the key of one that holds no more
            than is read.
    """

    name: str
    version: int
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Stage]
    work: Callable[[StageContext], dict[str, Any]]
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    effort: Effort = Effort()
    together: bool = False
    passing: bool = False
    read_as: str | None = None

    @property
    def key(self) -> str:
        """Returns 64 hexadecimal digits that name this stage's result."""
        return hash_value(
            {
                "name": self.name,
                "version": self.version,
                "parameters": dict(self.parameters),
                "inputs": {name: stage.read_as or stage.key for name, stage in self.inputs.items()},
                "fingerprints": dict(self.fingerprints),
            }
        )
