"""One training run in one process or in several that `accelerate launch` started: the same model either way.

Every process knows the whole plan and takes its share of each step's rows; losses are divided by the counts of the
whole step, so that gradients, added up over processes, are those of one process that saw every row.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list
from torch import Tensor, nn

from edgedistil.distil.precision import Precision

# The others wait while the main process scores a large dev set; the libraries' ten minutes would end the run.
_PATIENCE = timedelta(hours=24)

Value = TypeVar("Value")


class Processes:
    """The processes of a run, seen from one of them.

    Args:
        precision: Arithmetic of the forward pass; one a process.
    """

    def __init__(self, precision: Precision) -> None:
        several = int(os.environ.get("WORLD_SIZE", "1")) > 1
        self.accelerator = Accelerator(
            mixed_precision=precision,
            # Several processes without a GPU each stay apart unless they are told that this is meant.
            cpu=several and not torch.cuda.is_available(),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
        )
        self.count = self.accelerator.num_processes
        self.number = self.accelerator.process_index
        self.is_main = self.accelerator.is_main_process
        self.device: torch.device = self.accelerator.device

    def share(self, module: nn.Module) -> None:
        """Gives every process the main one's weights."""
        if self.count > 1:
            for tensor in module.state_dict().values():
                torch.distributed.broadcast(tensor, 0)

    def from_main(self, make: Callable[[], Value]) -> Value:
        """Returns what the main process makes, in every process."""
        made: list[Value | None] = [make() if self.is_main else None]
        if self.count > 1:
            broadcast_object_list(made)
        value = made[0]
        assert value is not None  # noqa: S101 - nobody makes None
        return value

    def add_up(self, parameters: Sequence[nn.Parameter], values: Tensor) -> Tensor:
        """Adds gradients up over processes, in place.

        A parameter that no process used keeps no gradient, so that the optimiser leaves it alone as it would in one.

        Args:
            parameters: Whose gradients; those of a process without rows may be missing.
            values: Numbers to be added up along with them, [n], fp32.

        Returns:
            The values' sums, [n].
        """
        if self.count == 1:
            return values
        used = torch.tensor([float(parameter.grad is not None) for parameter in parameters], device=self.device)
        gradients = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in parameters
        ]
        flat = torch.cat([values, used, *(gradient.reshape(-1).float() for gradient in gradients)])
        torch.distributed.all_reduce(flat)
        sums, used, rest = flat.split([len(values), len(used), len(flat) - len(values) - len(used)])
        parts = rest.split([parameter.numel() for parameter in parameters])
        for parameter, part, count in zip(parameters, parts, used.tolist(), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype) if count else None
        return sums

    def wait(self) -> None:
        """Returns when every process has come here."""
        self.accelerator.wait_for_everyone()
