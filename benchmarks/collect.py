"""Commits a finished run as data: `python benchmarks/collect.py RECIPE NAME`.

Reads the run of a recipe (runs/<recipe name>/) and its cached stages, scores every shipped file on the test split,
which nothing was chosen by, and writes benchmarks/results/NAME/: `measurements.jsonl` and `run.json`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.bench.facts import local_facts
from edgedistil.bench.measurement import Measurement
from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.stats import wilson_interval
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.read import Bundle, open_bundle
from edgedistil.data.tokens import open_tokens
from edgedistil.gate.statistics import Pairs, tango_lower, tango_upper
from edgedistil.pipeline.plan import Plan, plan_recipe
from edgedistil.pipeline.publish import publish
from edgedistil.recipe.load import Workspace, load_recipe
from edgedistil.report.picture import draw
from edgedistil.report.table import make_rows

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
        "test": _test_scores(plan, published.folder, open_tokens(finished["data"].folder / "test")),
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


def _test_scores(plan: Plan, run: Path, test: EvaluationSet) -> list[dict[str, Any]]:
    """Returns each file's accuracy on the test split, and its paired difference from the teacher's."""
    files = [("teacher, ONNX fp32", open_bundle(run / "reference" / "teacher"), "onnx-fp32")]
    if plan.build.recipe.prune:
        files.append(("student, ONNX fp32", open_bundle(run / "reference" / "student"), "onnx-fp32"))
    bundle = open_bundle(run / "bundle")
    shipped = "pruned" if plan.build.recipe.prune else "student"
    exported = [name for name in bundle.formats if name != "pytorch"]
    files += [(f"{shipped}, {FORMATS[name].title}", bundle, name) for name in exported]
    labels = np.asarray(test.labels)
    rows, teacher = [], None
    for title, held, format_name in files:
        right = _predictions(held, format_name, test) == labels
        teacher = right if teacher is None else teacher
        share = wilson_interval(int(right.sum()), len(right))
        gained, lost = int((right & ~teacher).sum()), int((teacher & ~right).sum())
        pairs = Pairs(len(right), gained, lost)
        rows.append(
            {
                "name": title,
                "accuracy": [share.value, share.low, share.high],
                "examples": len(right),
                "against_teacher": {
                    "difference": pairs.difference,
                    "low": tango_lower(pairs, 0.975),
                    "high": tango_upper(pairs, 0.975),
                    "gained": gained,
                    "lost": lost,
                },
            }
        )
    return rows


def _predictions(bundle: Bundle, format_name: str, test: EvaluationSet) -> np.ndarray:
    runtime = runtimes.create(FORMATS[format_name].runtime, str(bundle.path(format_name)), threads=2)
    logits = [runtime.run(*test.batch([index], int(test.lengths[index]))) for index in range(len(test))]
    runtime.close()
    return np.concatenate(logits).argmax(axis=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("name")
    arguments = parser.parse_args()
    print(collect(arguments.recipe, arguments.name))
