"""Training speed against a plain KD loop: `python benchmarks/distil_speed.py ../shared`.

Distils SST-2's teacher (12 x 384) into 6 layers on the same rows, with the same losses and batch size, by two loops
that take turns: edgedistil's (the teacher's outputs cached, batches of like length, bf16 where the processor has it),
and a `transformers.Trainer` with the teacher in the loop (fp32, batches as they come). The cache's own cost is told
apart, and shared out over the epochs that a recipe runs. Writes benchmarks/results/distil_speed/speed.json.
"""

from __future__ import annotations

import argparse
import copy
import csv
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate.state import AcceleratorState
from provenance import provenance, write_record
from transformers import Trainer, TrainerCallback, TrainingArguments

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.data.tokens import load_tokeniser
from edgedistil.distil.batches import collate
from edgedistil.distil.distil import distil
from edgedistil.distil.following import Following, teacher_states
from edgedistil.distil.precision import choose_precision
from edgedistil.distil.student import make_student
from edgedistil.distil.targets import compute_targets, open_outputs
from edgedistil.distil.trainer import TrainingSet
from edgedistil.models import from_checkpoint
from edgedistil.recipe.schema import Distil

RESULTS = Path(__file__).resolve().parent / "results" / "distil_speed"
LAYERS = 6
SETTINGS = Distil(epochs=1.0, evaluations_per_epoch=1)


def read_rows(shared: Path, count: int) -> EvaluationSet:
    """Returns a fixed random sample of SST-2's training rows as token ids."""
    with (shared / "data" / "sst2" / "train.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    chosen = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))[:count]]
    tokeniser = load_tokeniser(shared / "models" / "bge-small-sst2", 128)
    ids = [encoding.ids for encoding in tokeniser.encode_batch([row["sentence"] for row in chosen])]
    offsets = np.cumsum([0, *map(len, ids)])
    labels = [int(row["label"]) for row in chosen]
    return EvaluationSet(np.concatenate(ids), offsets, labels, np.arange(count).astype(str))


def part_of(rows: EvaluationSet, indices: np.ndarray) -> EvaluationSet:
    """Returns some of the rows."""
    ids = [rows.tokens(int(index)) for index in indices]
    offsets = np.cumsum([0, *map(len, ids)])
    return EvaluationSet(np.concatenate(ids), offsets, rows.labels[indices], rows.ids[indices])


class PlainLoop(Trainer):
    """Knowledge distillation as people write it: the teacher runs in every step."""

    def __init__(self, teacher: Any, following: Following, **options: Any) -> None:
        super().__init__(**options)
        self.teacher = teacher
        self.following = following

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any) -> Any:
        """Returns soft targets, hard labels and hidden states, weighted as the recipe does."""
        labels, mask = inputs.pop("labels"), inputs["attention_mask"].unsqueeze(-1)
        own = model(**inputs, output_hidden_states=True)
        with torch.no_grad():
            theirs = self.teacher(**inputs, output_hidden_states=True)
        heat = self.following.temperature
        soft = F.kl_div(
            F.log_softmax(own.logits / heat, -1), F.softmax(theirs.logits / heat, -1), reduction="batchmean"
        )
        apart = [
            ((own.hidden_states[student] - theirs.hidden_states[teacher]) * mask).square().sum()
            / (mask.sum() * mask.new_tensor(theirs.hidden_states[teacher].shape[-1]))
            for student, teacher in self.following.pairs
        ]
        loss = soft * heat**2 + 0.5 * F.cross_entropy(own.logits, labels) + torch.stack(apart).mean()
        return (loss, own) if return_outputs else loss


class Clock(TrainerCallback):
    """Times the steps alone."""

    seconds = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Starts."""
        self.seconds = -time.perf_counter()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Stops."""
        self.seconds += time.perf_counter()


def plain_turn(student: Any, teacher: Any, rows: EvaluationSet, following: Following, folder: Path) -> float:
    """Returns the examples a second of one epoch of the plain loop."""
    clock = Clock()
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=SETTINGS.batch_size,
        num_train_epochs=1,
        learning_rate=SETTINGS.learning_rate,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
    )

    def gather(indices: list[int]) -> dict[str, torch.Tensor]:
        batch = collate(rows, np.array(indices))
        return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "labels": batch.labels}

    loop = PlainLoop(
        teacher,
        following,
        model=student,
        args=arguments,
        train_dataset=list(range(len(rows))),
        data_collator=gather,
        callbacks=[clock],
    )
    loop.train()
    return len(rows) / clock.seconds


def cached_turn(
    student: Any, teacher: Any, rows: EvaluationSet, dev: EvaluationSet, folder: Path
) -> tuple[float, float]:
    """Returns the examples a second of one epoch of edgedistil's loop, and of filling its cache."""
    folder.mkdir(parents=True)
    states = teacher_states(SETTINGS, len(teacher.config.heads), LAYERS)
    start = time.perf_counter()
    compute_targets(teacher, rows, states, folder)
    filled = time.perf_counter() - start
    outputs = open_outputs(folder, rows, teacher)
    result = distil(student, TrainingSet(rows, dev), SETTINGS, outputs, folder / "run", seed=0)
    return result.examples_per_second, len(rows) / filled


def measure(shared: Path, turns: int, count: int, epochs: float) -> dict[str, Any]:
    """Returns what both loops did, turn by turn."""
    rows = read_rows(shared, (turns + 1) * count + 32)
    dev = part_of(rows, np.arange(len(rows) - 32, len(rows)))
    teacher = from_checkpoint(shared / "models" / "bge-small-sst2").eval()
    start = make_student(teacher, LAYERS)
    following = Following.of(SETTINGS, len(teacher.config.heads), start.config.heads)
    plain, cached, filling = [], [], []
    for turn in range(turns + 1):
        part = part_of(rows, np.arange(turn * count, (turn + 1) * count))
        with tempfile.TemporaryDirectory() as folder:
            AcceleratorState._reset_state(True)  # it keeps one arithmetic a process, and the two loops differ
            ours, fill = cached_turn(copy.deepcopy(start), teacher, part, dev, Path(folder) / "ours")
            AcceleratorState._reset_state(True)
            theirs = plain_turn(copy.deepcopy(start), teacher, part, following, Path(folder) / "theirs")
        print(f"turn {turn}: edgedistil {ours:.1f}, cache {fill:.1f}, plain {theirs:.1f} examples a second", flush=True)
        if turn:  # the first is for warming up
            cached.append(ours)
            filling.append(fill)
            plain.append(theirs)
    whole = [epochs / (epochs / ours + 1 / fill) for ours, fill in zip(cached, filling, strict=True)]
    ratios = [ours / theirs for ours, theirs in zip(whole, plain, strict=True)]
    return {
        "examples_per_second": {
            "edgedistil": cached,
            "cache": filling,
            "edgedistil_with_cache": whole,
            "trainer": plain,
        },
        "ratio": {"interval": [statistics.median(ratios), min(ratios), max(ratios)], "turns": ratios},
        "ratio_without_cache": statistics.median(a / b for a, b in zip(cached, plain, strict=True)),
    }


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with models/bge-small-sst2 and data/sst2")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--rows", type=int, default=512, help="rows a turn")
    parser.add_argument("--epochs", type=float, default=Distil().epochs, help="epochs that a cache serves")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    measured = measure(options.shared, options.turns, options.rows, options.epochs)
    record = {
        "command": f"python benchmarks/{Path(sys.argv[0]).name} {' '.join(sys.argv[1:])}",
        **provenance(),
        "precision": {"edgedistil": choose_precision(), "trainer": "fp32"},
        "threads": torch.get_num_threads(),
        "layers": LAYERS,
        "batch_size": SETTINGS.batch_size,
        "rows_a_turn": options.rows,
        "epochs_a_cache": options.epochs,
        **measured,
    }
    path = write_record(options.results / "speed.json", record)
    print(f"{measured['ratio']['interval'][0]:.2f} times the plain loop ({path})")


if __name__ == "__main__":
    main()
