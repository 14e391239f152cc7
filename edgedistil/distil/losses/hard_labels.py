"""Cross-entropy with the true label."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from edgedistil.distil.losses.base import LossInputs


class HardLabels:
    """The supervised loss that fine-tuning uses."""

    needs_hidden: ClassVar[bool] = False
    needs_teacher: ClassVar[bool] = False

    def __call__(self, inputs: LossInputs) -> Tensor:
        """Returns the mean cross-entropy over the batch."""
        return F.cross_entropy(inputs.logits.float(), inputs.labels)
