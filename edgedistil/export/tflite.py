"""TFLite, fp32: one signature a sequence length, one copy of the weights for all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from edgedistil.errors import require
from edgedistil.export.form import LogitsOnly, output_names
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.quiet import silence


class _NamedLogits(LogitsOnly):
    """Names the outputs, as a signature's caller wants it."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
        """Returns the outputs of one text by name."""
        found = super().forward(input_ids, attention_mask)
        parts = found if isinstance(found, tuple) else (found,)
        return dict(zip(output_names(self.model.head), parts, strict=True))


def signature_name(length: int) -> str:
    """Returns the name of a length's signature."""
    return f"length_{length}"


def export_tflite(model: EdgeBertHeadModel, path: Path, sequence_lengths: Sequence[int]) -> None:
    """Writes a model as one TFLite file with a signature `length_<n>` a length: batch 1, int32 in, float32 out.

    Args:
        model: In fp32; left in eval mode.
        path: Where to write.
        sequence_lengths: Lengths in tokens, rising.
    """
    require("litert_torch", "host")
    with silence():
        import litert_torch

        converter = None
        wrapped = _NamedLogits(model)
        for length in sequence_lengths:
            sample = {name: torch.ones(1, length, dtype=torch.int32) for name in ("input_ids", "attention_mask")}
            add = litert_torch.signature if converter is None else converter.signature
            converter = add(signature_name(length), wrapped, sample_kwargs=sample)
        assert converter is not None  # noqa: S101 - the recipe has a length at least
        converter.convert().export(str(path))
