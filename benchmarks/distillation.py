"""Each distillation method alone and the best mix: `python benchmarks/distillation.py RECIPE [--seeds 42 43 44]`.

Every run is a recipe with a few keys overridden, run as far as its student, from the same cached teacher; a run that
was made before is reused. Writes benchmarks/results/distillation/NAME.json, a row a run: the teacher's and the
student's scores on dev, by which checkpoints were chosen, and on test, by which nothing was; and their difference there
on the same examples.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from held_out import HeldOut
from provenance import provenance, write_record

from edgedistil.distil.score import answer_rows
from edgedistil.models import load_model
from edgedistil.pipeline.plan import plan_recipe
from edgedistil.pipeline.run import Outcome, run_plan
from edgedistil.progress import TerminalProgress
from edgedistil.recipe.load import Workspace, load_recipe

RESULTS = Path(__file__).resolve().parent / "results" / "distillation"

_OFF = {"soft_targets": 0, "hard_labels": 0, "hidden_states": 0}


def losses(**weights: float) -> str:
    """Returns the override that turns on these losses alone."""
    return f"distil.losses={json.dumps(_OFF | weights)}"


METHODS: dict[str, list[str]] = {
    "hard labels": [losses(hard_labels=1)],
    "soft targets": [losses(soft_targets=1)],
    "soft and hard": [losses(soft_targets=1, hard_labels=0.5)],
    "hidden states": [losses(hard_labels=1, hidden_states=10)],
    "attention maps": [losses(hard_labels=1, attention_maps=1)],
    "relations": [losses(hard_labels=1, relations=1)],
    "cosine": [losses(hard_labels=1, cosine=1)],
    "PKD, skip": [losses(soft_targets=1, hard_labels=0.5, hidden_states=10), "distil.layer_map=skip"],
    "TinyBERT, two stages": [],
    "best mix": [],
}


@dataclass(frozen=True)
class Run:
    """One student to be made.

    Attributes:
        method: A key of `METHODS`.
        seed: Of everything, the teacher too unless `--same-teacher`.
        overrides: Beside those of the method.
    """

    method: str
    seed: int
    overrides: tuple[str, ...] = ()

    def keys(self, epochs: float) -> list[str]:
        """Returns every override; the two stages share the recipe's epochs."""
        made = [f"seed={self.seed}", *METHODS[self.method], *self.overrides]
        if self.method.startswith("TinyBERT"):
            first = _OFF | {"hidden_states": 1, "attention_maps": 1}
            second = _OFF | {"soft_targets": 1}
            stages = [{"losses": first, "epochs": epochs / 2}, {"losses": second, "epochs": epochs / 2}]
            made.append(f"distil.stages={json.dumps(stages)}")
        return made


def make(recipe: Path, run: Run) -> dict[str, Any]:
    """Runs a recipe as far as its student; returns the row."""
    keys = run.keys(load_recipe(recipe, list(run.overrides)).distil.epochs)
    outcome = run_plan(
        plan_recipe(load_recipe(recipe, keys), Workspace.of_recipe(recipe), until="distil"), TerminalProgress()
    )
    teacher, student = (outcome.finished[name].summary for name in ("teacher", "distil"))
    return {
        "metric": student.get("metric", "accuracy"),
        "method": run.method,
        "seed": run.seed,
        "overrides": [key for key in keys if not key.startswith("teacher.")],
        "teacher": _scores(teacher),
        "student": _scores(student),
        "against_teacher": against_teacher(outcome),
        "examples_per_second": round(student["examples_per_second"], 1),
        "seconds": student["training_seconds"],
    }


def against_teacher(outcome: Outcome) -> dict[str, Any]:
    """Returns how far the student is above its teacher on the same test examples, with a 95 % interval."""
    task, test = outcome.plan.build.recipe.task, outcome.finished["data"].folder / "test"
    held, teacher = _answered(test, task, outcome.finished["teacher"].folder / "model")
    _, student = _answered(test, task, outcome.finished["distil"].folder / "model")
    return held.difference(student, teacher)


@lru_cache(maxsize=2)  # a teacher has many students
def _answered(test: Path, task: str, folder: Path) -> tuple[HeldOut, np.ndarray]:
    model = load_model(folder)
    held = HeldOut.open(test, task, list(model.config.id2label.values()))
    return held, held.judge(answer_rows(model, held.tokens))


def _scores(summary: dict[str, Any]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in summary.items() if name.startswith(("dev_", "test_"))}


def write(name: str, metric: str, rows: list[dict[str, Any]], command: str) -> Path:
    """Writes the rows, those of earlier calls kept unless made again; returns the file."""
    path = RESULTS / f"{name}.json"
    before: dict[str, Any] = {"rows": [], "command": command}
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
    made = {(row["method"], row["seed"], tuple(row["overrides"])): row for row in [*before["rows"], *rows]}
    record = {
        "command": " && ".join(dict.fromkeys([*before["command"].split(" && "), command])),
        **provenance(),
        "metric": metric,
        "rows": list(made.values()),
    }
    return write_record(path, record)


def fine_tuned(recipe: Path, folder: Path) -> list[str]:
    """Puts a recipe's finished teacher into a folder of its own; returns the overrides that take it as it is.

    So a student can be made from part of the data, or by another seed, while its teacher stays the one that learnt from
    all of it.
    """
    plan = plan_recipe(load_recipe(recipe), Workspace.of_recipe(recipe), until="teacher")
    done = run_plan(plan, TerminalProgress()).finished["teacher"]
    shutil.copytree(done.folder / "model", folder, dirs_exist_ok=True)
    for name in ("*token*", "vocab.txt"):
        for path in plan.build.teacher.folder.glob(name):
            shutil.copyfile(path, folder / path.name)
    return [f"teacher.model={folder}", "teacher.fine_tune=null"]


def main() -> None:
    """Makes every run asked for and writes the file after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--name", help="of the result; the recipe's by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--train-limit", type=int, help="rows to learn from; the teacher has learnt from all")
    parser.add_argument("--same-teacher", action="store_true", help="the recipe's own, whatever the seed")
    arguments = parser.parse_args()
    overrides = list(arguments.overrides)
    command = shlex.join(["python", "benchmarks/distillation.py", *sys.argv[1:]])
    if arguments.train_limit or arguments.same_teacher:
        overrides += fine_tuned(arguments.recipe, Path(".edgedistil", "fine-tuned", arguments.recipe.stem).resolve())
    if arguments.train_limit:
        overrides.append(f"data.train_limit={arguments.train_limit}")
    for seed in arguments.seeds:
        for method in arguments.methods:
            row = make(arguments.recipe, Run(method, seed, tuple(overrides)))
            path = write(arguments.name or arguments.recipe.stem, row.pop("metric"), [row], command)
            print(f"{method}, seed {seed}: {row['student']} (teacher {row['teacher']}) -> {path}")


if __name__ == "__main__":
    main()
