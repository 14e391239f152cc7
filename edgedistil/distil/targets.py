"""The teacher's outputs on the training rows: computed once, kept on disk, read as memory maps.

An epoch of distillation then costs the student alone. States are stored token by token without padding, in
float16: 2 bytes x hidden size x tokens x layers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.batches import Batch, collate, row_lengths, sorted_plan
from edgedistil.distil.precision import choose_precision
from edgedistil.progress import Progress, SilentProgress

_TOKENS_A_BATCH = 4096


@dataclass(frozen=True)
class TeacherTargets:
    """Cached outputs of a teacher on one token set.

    Attributes:
        layers: Teacher states kept (0 is the embeddings' output, 1 the first layer's).
        offsets: Where each row's tokens start, [rows + 1].
        logit_table: [rows, classes], float32.
        hidden_tables: A layer each, [tokens, hidden], float16, on disk.
    """

    layers: tuple[int, ...]
    offsets: np.ndarray
    logit_table: np.ndarray
    hidden_tables: tuple[np.ndarray, ...]

    @classmethod
    def load(cls, folder: Path, tokens: EvaluationSet) -> TeacherTargets:
        """Opens what `compute_targets` wrote for this token set."""
        facts = json.loads((folder / "targets.json").read_text(encoding="utf-8"))
        shape = (len(tokens.input_ids), facts["hidden_size"])
        tables = tuple(
            np.memmap(folder / f"hidden-{layer}.bin", dtype=np.float16, mode="r", shape=shape)
            for layer in facts["layers"]
        )
        logits = np.load(folder / "logits.npy", allow_pickle=False)
        return cls(tuple(facts["layers"]), tokens.offsets, logits, tables)

    def logits(self, batch: Batch) -> Tensor:
        """Returns the teacher's logits for a batch, [batch, classes]."""
        return torch.from_numpy(self.logit_table[batch.indices]).to(batch.labels.device)

    def hidden(self, batch: Batch) -> tuple[Tensor, ...]:
        """Returns the teacher's states for a batch, a layer each, [batch, sequence, hidden], zero on padding."""
        return tuple(self._padded(table, batch) for table in self.hidden_tables)

    def _padded(self, table: np.ndarray, batch: Batch) -> Tensor:
        rows, length = batch.input_ids.shape
        padded = np.zeros((rows, length, table.shape[1]), dtype=np.float16)
        for row, index in enumerate(batch.indices):
            start, end = self.offsets[index], self.offsets[index + 1]
            padded[row, : end - start] = table[start:end]
        return torch.from_numpy(padded).to(batch.labels.device)


def targets_bytes(tokens: EvaluationSet, layers: int, hidden_size: int) -> int:
    """Returns the disk space that `compute_targets` will take, in bytes."""
    return 2 * len(tokens.input_ids) * layers * hidden_size


def compute_targets(
    teacher: PreTrainedModel,
    tokens: EvaluationSet,
    layers: tuple[int, ...],
    folder: Path,
    progress: Progress | None = None,
) -> TeacherTargets:
    """Runs the teacher over every row once and writes its outputs.

    Args:
        teacher: The fine-tuned teacher.
        tokens: The training rows.
        layers: States to keep (0 is the embeddings' output); may be empty.
        folder: Where to write.
        progress: Where the bar is shown.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher = teacher.to(device).eval()
    hidden_size = int(teacher.config.hidden_size)
    tables = {
        layer: np.memmap(
            folder / f"hidden-{layer}.bin",
            dtype=np.float16,
            mode="w+",
            shape=(len(tokens.input_ids), hidden_size),
        )
        for layer in layers
    }
    logits = np.zeros((len(tokens), int(teacher.config.num_labels)), dtype=np.float32)
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=choose_precision() == "bf16")
    with (
        (progress or SilentProgress()).bar("teacher's outputs", len(tokens)) as bar,
        torch.inference_mode(),
        autocast,
    ):
        for indices in token_budget_plan(row_lengths(tokens)):
            batch = collate(tokens, indices).to(device)
            output = teacher(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                output_hidden_states=bool(layers),
            )
            logits[indices] = output.logits.float().cpu().numpy()
            _store(tables, output.hidden_states, batch, tokens.offsets)
            bar.advance(len(indices))
    for table in tables.values():
        table.flush()
    np.save(folder / "logits.npy", logits, allow_pickle=False)
    facts = {"layers": list(layers), "hidden_size": hidden_size}
    (folder / "targets.json").write_text(json.dumps(facts), encoding="utf-8")
    return TeacherTargets.load(folder, tokens)


def _store(tables: dict[int, np.memmap], states: tuple[Tensor, ...] | None, batch: Batch, offsets: np.ndarray) -> None:
    for layer, table in tables.items():
        assert states is not None  # noqa: S101 - asked for whenever a table is there
        values = states[layer].to(torch.float16).cpu().numpy()
        for row, index in enumerate(batch.indices):
            start, end = offsets[index], offsets[index + 1]
            table[start:end] = values[row, : end - start]


def token_budget_plan(lengths: np.ndarray) -> list[np.ndarray]:
    """Returns batches in order of length that hold about as many tokens each, padding included."""
    plan: list[np.ndarray] = []
    for part in sorted_plan(lengths, 512):
        rows = max(1, _TOKENS_A_BATCH // int(lengths[part].max()))
        plan.extend(part[at : at + rows] for at in range(0, len(part), rows))
    return plan
