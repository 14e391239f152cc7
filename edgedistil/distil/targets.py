"""The teacher's outputs on the training rows: computed once, kept on disk, read as memory maps.

An epoch of distillation then costs the student alone. States are stored token by token without padding, in
float16: 2 bytes x hidden size x tokens x layers. Queries, keys and values are computed again from the state below
their layer. Where all this would not fit the disk, the teacher runs in every step instead.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from edgedistil.distil.batches import Batch, collate, row_lengths, sorted_plan
from edgedistil.distil.losses.base import Outputs, Projection
from edgedistil.distil.memory import release_pages
from edgedistil.distil.outputs import LiveTeacher, Request, TeacherOutputs
from edgedistil.distil.precision import choose_precision
from edgedistil.distil.rows import TokenRows, total_tokens
from edgedistil.errors import EdgeDistilError
from edgedistil.progress import Progress, SilentProgress

_TOKENS_A_BATCH = 4096
_RELEASE_BYTES = 64 << 20
_PAGES_A_TOUCH = 64 << 10  # reading one row maps this much of the file around it
_SHARE_OF_FREE = 0.8
_PER_TOKEN = ("tags", "span")


@dataclass
class TeacherTargets:
    """Cached outputs of a teacher on one token set.

    Attributes:
        layers: States kept (0 is the embeddings' output, 1 the first layer's).
        offsets: Where each row's tokens start, [rows + 1].
        logit_table: [rows, width], or for tags and span [tokens, width]; float32, on disk.
        hidden_tables: By state, [tokens, hidden], float16, on disk.
        teacher: The model, whose weights queries, keys and values are computed with.
    """

    layers: tuple[int, ...]
    offsets: np.ndarray
    logit_table: np.ndarray
    hidden_tables: dict[int, np.ndarray]
    teacher: PreTrainedModel
    _read: int = field(default=0, repr=False)

    @classmethod
    def load(cls, folder: Path, rows: TokenRows, teacher: PreTrainedModel) -> TeacherTargets:
        """Opens what `compute_targets` wrote for these rows."""
        facts = json.loads((folder / "targets.json").read_text(encoding="utf-8"))
        shape = (total_tokens(rows), facts["hidden_size"])
        tables: dict[int, np.ndarray] = {
            layer: np.memmap(folder / f"hidden-{layer}.bin", dtype=np.float16, mode="r", shape=shape)
            for layer in facts["layers"]
        }
        logits = np.load(folder / "logits.npy", allow_pickle=False, mmap_mode="r")
        return cls(tuple(facts["layers"]), rows.offsets, logits, tables, teacher)

    @property
    def config(self) -> PretrainedConfig:
        """Returns the teacher's configuration."""
        return self.teacher.config

    def __call__(self, batch: Batch, request: Request) -> Outputs:
        """Returns what is wanted of the teacher on a batch, on the batch's device.

        Raises:
            KeyError: When a state was not kept.
        """
        states = {state: self._state(state, batch) for state in request.states}
        below = {
            layer: states[layer - 1] if layer - 1 in states else self._state(layer - 1, batch)
            for layer in request.projections
        }
        return Outputs(
            logits=self.logits(batch) if request.logits else None,
            hidden=states,
            projections={layer: self._project(layer, state) for layer, state in below.items()},
            head_size=int(self.teacher.config.head_size),
        )

    def logits(self, batch: Batch) -> Tensor:
        """Returns the teacher's logits for a batch: [batch, width], or [batch, sequence, width] for tags and span."""
        if batch.kind in _PER_TOKEN:
            return self._padded(self.logit_table, batch)
        return torch.from_numpy(self.logit_table[batch.indices]).to(batch.labels.device)

    def _state(self, state: int, batch: Batch) -> Tensor:
        return self._padded(self.hidden_tables[state], batch)

    def _project(self, layer: int, below: Tensor) -> Projection:
        attention = self.teacher.encoder.layers[layer - 1].attention.to(below.device)
        linears: Sequence[nn.Linear] = (attention.query, attention.key, attention.value)
        with torch.no_grad():
            query, key, value = (linear(below.float()) for linear in linears)
        return query, key, value

    def _padded(self, table: np.ndarray, batch: Batch) -> Tensor:
        rows, length = batch.input_ids.shape
        padded = np.zeros((rows, length, table.shape[1]), dtype=table.dtype)
        for row, index in enumerate(batch.indices):
            start, end = self.offsets[index], self.offsets[index + 1]
            padded[row, : end - start] = table[start:end]
        self._count(padded.nbytes + rows * _PAGES_A_TOUCH)
        return torch.from_numpy(padded).to(batch.labels.device)

    def _count(self, size: int) -> None:
        """Lets go of pages now and then, so that a long run's memory does not grow with what it has read."""
        self._read += size
        if self._read > _RELEASE_BYTES:
            self._read = 0
            for table in (self.logit_table, *self.hidden_tables.values()):
                release_pages(table)


def targets_bytes(rows: TokenRows, states: int, hidden_size: int, width: int = 0) -> int:
    """Returns the disk space that `compute_targets` will take, in bytes, but for a few hundred.

    Args:
        rows: The training rows.
        states: Hidden states kept.
        hidden_size: Their width.
        width: Logits a row, or a token for tags and span.
    """
    answers = total_tokens(rows) if rows.kind in _PER_TOKEN else len(rows)
    return 2 * total_tokens(rows) * states * hidden_size + 4 * answers * width


def choose_outputs(
    wanted: Literal["auto", "cache", "loop"], needed: int, folder: Path, progress: Progress | None = None
) -> Literal["cache", "loop"]:
    """Returns where the teacher's outputs come from, and says it in one line.

    Args:
        wanted: As the recipe says; `auto` caches what takes at most four fifths of the free disk space.
        needed: Bytes that a cache takes.
        folder: Where it would lie.
        progress: Told the choice.

    Raises:
        EdgeDistilError: When a cache is wanted that does not fit.
    """
    free = shutil.disk_usage(folder).free
    fits = needed <= _SHARE_OF_FREE * free
    sizes = f"{_size(needed)} ({_size(free)} are free)"
    if wanted == "cache" and not fits:
        raise EdgeDistilError(
            f"the teacher's outputs take {sizes}",
            where=str(folder),
            cure="free some space, or set distil.teacher_outputs: loop",
        )
    progress = progress or SilentProgress()
    if wanted == "loop":
        progress.say("the teacher runs in every step, as the recipe says")
        return "loop"
    if not fits:
        progress.say(f"the teacher runs in every step: its outputs would take {sizes}")
        return "loop"
    progress.say(f"the teacher's outputs are computed once and kept: {sizes}")
    return "cache"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def compute_targets(
    teacher: PreTrainedModel,
    rows: TokenRows,
    states: tuple[int, ...],
    folder: Path,
    progress: Progress | None = None,
    *,
    outputs: Literal["auto", "cache", "loop"] = "cache",
) -> TeacherOutputs:
    """Runs the teacher over every row once and writes its outputs; or notes that it is to run in every step.

    Args:
        teacher: The fine-tuned teacher.
        rows: The training rows.
        states: States to keep (0 is the embeddings' output); may be empty.
        folder: Where to write.
        progress: Where the bar is shown.
        outputs: As `choose_outputs`.

    Returns:
        What `open_outputs` will open.

    Raises:
        EdgeDistilError: When a cache is wanted that does not fit.
    """
    hidden_size = int(teacher.config.hidden_size)
    needed = targets_bytes(rows, len(states), hidden_size, int(teacher.config.num_labels))
    mode = choose_outputs(outputs, needed, folder, progress)
    if mode == "cache":
        _write(teacher, rows, states, folder, progress or SilentProgress())
    facts = {"mode": mode, "layers": list(states), "hidden_size": hidden_size}
    (folder / "targets.json").write_text(json.dumps(facts), encoding="utf-8")
    return open_outputs(folder, rows, teacher)


def open_outputs(folder: Path, rows: TokenRows, teacher: PreTrainedModel) -> TeacherOutputs:
    """Opens what `compute_targets` left: its cache, or the teacher itself, to run in every step."""
    facts = json.loads((folder / "targets.json").read_text(encoding="utf-8"))
    if facts.get("mode") == "loop":
        return LiveTeacher(teacher, bf16=choose_precision() == "bf16")
    return TeacherTargets.load(folder, rows, teacher.eval())


def _write(
    teacher: PreTrainedModel, rows: TokenRows, states: tuple[int, ...], folder: Path, progress: Progress
) -> None:
    live = LiveTeacher(teacher, bf16=choose_precision() == "bf16")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shape = (total_tokens(rows), int(teacher.config.hidden_size))
    tables = {
        state: np.memmap(folder / f"hidden-{state}.bin", dtype=np.float16, mode="w+", shape=shape) for state in states
    }
    answers: np.ndarray | None = None
    written = 0
    with progress.bar("teacher's outputs", len(rows)) as bar, torch.inference_mode():
        for indices in token_budget_plan(row_lengths(rows)):
            batch = collate(rows, indices).to(device)
            found = live(batch, Request(states=states))
            assert found.logits is not None  # noqa: S101 - they were asked for
            if answers is None:
                answers = _logit_table(folder, rows, found.logits.shape[-1])
            written += _store(tables, answers, found, batch, rows.offsets)
            if written > _RELEASE_BYTES:
                written = 0
                for table in (answers, *tables.values()):
                    release_pages(table)
            bar.advance(len(indices))


def _logit_table(folder: Path, rows: TokenRows, width: int) -> np.ndarray:
    count = total_tokens(rows) if rows.kind in _PER_TOKEN else len(rows)
    table: np.ndarray = np.lib.format.open_memmap(
        folder / "logits.npy", mode="w+", dtype=np.float32, shape=(count, width)
    )
    return table


def _store(tables: dict[int, np.memmap], answers: np.ndarray, found: Outputs, batch: Batch, offsets: np.ndarray) -> int:
    """Writes a batch's outputs; returns the bytes."""
    assert found.logits is not None  # noqa: S101 - they were asked for
    logits = found.logits.float().cpu().numpy()
    written = logits.nbytes
    per_token: list[tuple[np.ndarray, np.ndarray]] = []
    if batch.kind in _PER_TOKEN:
        per_token.append((answers, logits))
    else:
        answers[batch.indices] = logits
    per_token += [(table, found.hidden[state].to(torch.float16).cpu().numpy()) for state, table in tables.items()]
    for table, values in per_token:
        written += values.nbytes
        for row, index in enumerate(batch.indices):
            start, end = offsets[index], offsets[index + 1]
            table[start:end] = values[row, : end - start]
    return written


def token_budget_plan(lengths: np.ndarray) -> list[np.ndarray]:
    """Returns batches in order of length that hold about as many tokens each, padding included."""
    plan: list[np.ndarray] = []
    for part in sorted_plan(lengths, 512):
        rows = max(1, _TOKENS_A_BATCH // int(lengths[part].max()))
        plan.extend(part[at : at + rows] for at in range(0, len(part), rows))
    return plan
