"""Commits a finished run as data: `python benchmarks/collect.py RECIPE NAME`.

Reads the run of a recipe (runs/<recipe name>/) and its cached stages, scores every shipped file on the test split,
which nothing was chosen by, and writes benchmarks/results/NAME/: `measurements.jsonl` and `run.json`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.bench.facts import local_facts
from edgedistil.bench.measurement import Measurement
from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.runner.scoring import predict_all
from edgedistil.bench.scores import accuracy_of
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.read import Bundle, open_bundle
from edgedistil.data.tokens import open_tokens
from edgedistil.gate.paired import compare_scores
from edgedistil.gate.statistics import Pairs, tango_lower, tango_upper
from edgedistil.pipeline.cache import Finished
from edgedistil.pipeline.plan import Plan, plan_recipe
from edgedistil.pipeline.publish import publish
from edgedistil.recipe.load import Workspace, load_recipe
from edgedistil.report.picture import draw
from edgedistil.report.table import make_rows
from edgedistil.tasks import Task, get_task
from edgedistil.tasks.answers import Answers

_COLOURS = {
    "paper": "#ffffff",
    "ink": "#1b2430",
    "soft": "#566273",
    "line": "#d5dbe3",
    "panel": "#f5f7fa",
    "onnx": "#0072b2",
    "tflite": "#c4500a",
    "torch": "#00805c",
}
RESULTS = Path(__file__).resolve().parent / "results"


def collect(recipe: Path, name: str) -> Path:
    """Writes the results of a recipe's finished run; returns their folder."""
    plan = plan_recipe(load_recipe(recipe), Workspace.of_recipe(recipe))
    done = {stage.name: plan.build.cache.find(stage) for stage in plan.stages}
    missing = [stage for stage, found in done.items() if found is None]
    if missing:
        raise SystemExit(f"stage '{missing[0]}' is not done: edgedistil run {recipe}")
    finished = {stage: found for stage, found in done.items() if found is not None}
    published = publish(plan.build.workspace.run_folder(plan.build.recipe.name), finished)
    folder = RESULTS / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(published.folder / "measurements.jsonl", folder / "measurements.jsonl")
    record = {
        "command": f"edgedistil run {recipe}",
        "date": dt.date.today().isoformat(),
        "machine": _machine(),
        "versions": published.bundle.manifest.packages,
        "shape": published.bundle.manifest.model.model_dump(),
        "stages": [
            {"name": stage, "seconds": found.seconds, "summary": _short(found.summary)}
            for stage, found in finished.items()
        ],
        "test": _test_scores(plan, published.folder, finished["data"].folder, _shipped_data(finished)),
    }
    (folder / "picture.svg").write_text(_picture(published.measurements), encoding="utf-8")
    (folder / "run.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return folder


def _picture(measurements: list[Measurement]) -> str:
    """Returns the report's picture as a file of its own, in the page's light colours."""
    svg = draw(make_rows(measurements), width=8.6, height=4.6, name="readme")
    for name, colour in _COLOURS.items():
        svg = svg.replace(f"var(--{name})", colour)
    return svg.replace("<svg", '<svg width="826" style="background: #ffffff"', 1)


def _machine() -> str:
    facts = local_facts()
    return f"{facts.cores} cores of {facts.cpu}, {facts.memory_mb / 1000:.0f} GB"


def _short(summary: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in summary.items() if name not in ("history", "curves")}


def _shipped_data(finished: Mapping[str, Finished]) -> Path:
    """Returns the stage whose token ids the shipped files read: a trimmed vocabulary numbers them anew."""
    return finished.get("vocabulary", finished["data"]).folder


def _test_scores(plan: Plan, run: Path, data: Path, shipped_data: Path) -> list[dict[str, Any]]:
    """Returns each file's scores on the test split, and its paired difference from the teacher's."""
    recipe = plan.build.recipe
    files = [("teacher, ONNX fp32", open_bundle(run / "reference" / "teacher"), "onnx-fp32")]
    if recipe.prune:
        files.append(("student, ONNX fp32", open_bundle(run / "reference" / "student"), "onnx-fp32"))
    bundle = open_bundle(run / "bundle")
    shipped = "pruned" if recipe.prune else "student"
    exported = [name for name in bundle.formats if name != "pytorch"]
    files += [(f"{shipped}, {FORMATS[name].title}", bundle, name) for name in exported]
    labels = bundle.manifest.labels
    judges = {folder: _judge(folder / "test", recipe.task, labels) for folder in {data, shipped_data}}
    statistics = {
        title: judges[shipped_data if held is bundle else data].statistics(held, format_name)
        for title, held, format_name in files
    }
    judge = judges[data]
    return [judge.row(title, found, statistics["teacher, ONNX fp32"]) for title, found in statistics.items()]


def _judge(split: Path, task: str, labels: list[str]) -> TestSplit:
    answers = split / "answers.jsonl"
    return TestSplit(
        open_tokens(split), get_task(task, labels), labels, Answers.load(answers) if answers.is_file() else None
    )


@dataclass(frozen=True)
class TestSplit:
    """The examples that nothing was chosen by."""

    tokens: EvaluationSet
    task: Task
    labels: list[str]
    answers: Answers | None

    def statistics(self, bundle: Bundle, format_name: str) -> np.ndarray:
        """Returns the task's additive statistics of one file, [examples, k]."""
        runtime = runtimes.create(FORMATS[format_name].runtime, str(bundle.path(format_name)), threads=2)
        outputs = predict_all(runtime, self.tokens, 1, lambda _: None)
        runtime.close()
        references = self.task.references(self.tokens, self.answers, self.labels)
        predictions = self.task.predictions(outputs, self.tokens, self.answers, self.labels)
        return self.task.statistics([predictions[name] for name in references], list(references.values()))

    def row(self, title: str, found: np.ndarray, teacher: np.ndarray) -> dict[str, Any]:
        """Returns one file's scores and its difference from the teacher's, with 95 % intervals."""
        made = accuracy_of(self.task, found)
        return {
            "name": title,
            "metric": made.metric,
            "accuracy": [made.value, made.low, made.high],
            "others": made.others,
            "examples": len(found),
            "against_teacher": self._difference(found, teacher, made.metric),
        }

    def _difference(self, found: np.ndarray, teacher: np.ndarray, metric: str) -> dict[str, Any]:
        if metric == "accuracy":
            right, before = found[:, 0] > 0, teacher[:, 0] > 0
            pairs = Pairs(len(right), int((right & ~before).sum()), int((before & ~right).sum()))
            low, high = tango_lower(pairs, 0.975), tango_upper(pairs, 0.975)
            return {
                "difference": pairs.difference,
                "low": low,
                "high": high,
                "gained": int(pairs.gained),
                "lost": int(pairs.lost),
            }
        paired = compare_scores(teacher, found, lambda sums: self.task.metrics(sums)[metric])
        return {"difference": paired.difference, "low": paired.lower(0.975), "high": paired.upper(0.975)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("name")
    arguments = parser.parse_args()
    print(collect(arguments.recipe, arguments.name))
