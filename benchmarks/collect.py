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
from pathlib import Path
from typing import Any

from held_out import HeldOut
from provenance import machine

from edgedistil.bench.measurement import Measurement
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.read import open_bundle
from edgedistil.pipeline.cache import Finished
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
    asked = plan.build.recipe
    published = publish(plan.build.workspace.run_folder(asked.name), finished, asked.model_dump(mode="json"))
    folder = RESULTS / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(published.folder / "measurements.jsonl", folder / "measurements.jsonl")
    record = {
        "command": f"edgedistil run {recipe}",
        "date": dt.date.today().isoformat(),
        "machine": machine(),
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
    judges = {folder: HeldOut.open(folder / "test", recipe.task, labels) for folder in {data, shipped_data}}
    statistics = {
        title: judges[shipped_data if held is bundle else data].statistics(
            FORMATS[format_name].runtime, held.path(format_name)
        )
        for title, held, format_name in files
    }
    judge, teacher = judges[data], statistics["teacher, ONNX fp32"]
    return [
        {"name": title, **judge.score(found), "against_teacher": judge.difference(found, teacher)}
        for title, found in statistics.items()
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("name")
    arguments = parser.parse_args()
    print(collect(arguments.recipe, arguments.name))
