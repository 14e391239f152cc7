"""What a run shows: the plan before it, the table and the next commands after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from edgedistil.bench.measurement import read_measurements
from edgedistil.bundle.usage import usage_of
from edgedistil.pipeline.answers import answers_of, line_of
from edgedistil.pipeline.cache import Finished
from edgedistil.pipeline.choosing import form_lines, quantised_lines
from edgedistil.pipeline.estimate import Speeds, human_time
from edgedistil.pipeline.plan import Plan
from edgedistil.pipeline.publish import Published
from edgedistil.pipeline.run import Outcome
from edgedistil.report.table import make_rows, render_json, render_table


@dataclass(frozen=True)
class PlanView:
    """A plan as rows: stage, key, whether it is reused, whether it is needed, estimated seconds."""

    name: str
    rows: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Returns the plan as a JSON-able value."""
        return {"recipe": self.name, "stages": self.rows}

    def table(self) -> Table:
        """Returns the plan as a table with its total."""
        table = Table("stage", "key", "", "about", title=f"plan of {self.name}", title_justify="left", show_footer=True)
        for row in self.rows:
            state = "reused" if row["reused"] else "to be run" if row["needed"] else "not needed"
            table.add_row(row["name"], row["key"], state, human_time(row["seconds"]) if state == "to be run" else "")
        total = sum(row["seconds"] for row in self.rows)
        table.columns[0].footer = "in all"
        table.columns[3].footer = human_time(total)
        return table


def plan_table(plan: Plan) -> PlanView:
    """Returns the view of a plan: each stage, reused, to be run or not needed, with an estimate of its time."""
    speeds = Speeds(plan.build.cache.root)
    rows = []
    for stage in plan.stages:
        reused = plan.build.cache.find(stage) is not None
        needed = plan.needs(stage)
        seconds = round(speeds.seconds(stage), 1) if needed and not reused else 0.0
        row = {"name": stage.name, "key": stage.key[:16], "reused": reused, "needed": needed, "seconds": seconds}
        rows.append(row)
    return PlanView(plan.build.recipe.name, rows)


@dataclass(frozen=True)
class ResultView:
    """What a finished run has to say."""

    outcome: Outcome
    recipe: Path

    def as_json(self) -> dict[str, Any]:
        """Returns the result as a JSON-able value."""
        import json

        published = self.outcome.published
        return {
            "recipe": self.outcome.plan.build.recipe.name,
            "seconds": round(self.outcome.seconds, 2),
            "stages": [_stage_row(done) for done in self.outcome.finished.values()],
            "answers": _answers(self.outcome),
            "quantised": _quantised(self.outcome),
            "bundle": str(published.folder / "bundle") if published else None,
            "report": str(published.report) if published and published.report else None,
            "rows": json.loads(render_json(make_rows(published.measurements)))
            if published and published.measurements
            else [],
        }

    def print(self, console: Console) -> None:
        """Prints the table, where things lie, and the next commands to type."""
        published = self.outcome.published
        if published is None:
            _print_goal(console, self.outcome)
            return
        if published.measurements:
            console.print(render_table(make_rows(published.measurements)))
        for answer in _answers(self.outcome):
            console.print(line_of(answer), highlight=False, markup=False, soft_wrap=True)
        for line in _quantised(self.outcome):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        for line in _next_commands(self.outcome, self.recipe):
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def result_view(outcome: Outcome, recipe: Path) -> ResultView:
    """Returns the view of a finished run."""
    return ResultView(outcome, recipe)


def _stage_row(done: Finished) -> dict[str, Any]:
    summary = {name: value for name, value in done.summary.items() if name != "history"}
    return {"name": done.name, "key": done.key[:16], "reused": done.reused, "seconds": done.seconds, "summary": summary}


def _answers(outcome: Outcome) -> list[dict[str, Any]]:
    measurements = outcome.published.measurements if outcome.published else []
    return answers_of(outcome.plan.build.recipe.prune, outcome.finished, measurements)


def _quantised(outcome: Outcome) -> list[str]:
    published = outcome.published
    if not published:
        return []
    exported = outcome.finished.get("export")
    forms = form_lines(exported.summary.get("forms", {})) if exported else []
    return forms + quantised_lines(published.bundle, published.measurements)


def _print_goal(console: Console, outcome: Outcome) -> None:
    done = outcome.finished[outcome.plan.goal.name]
    for answer in _answers(outcome):
        console.print(line_of(answer), highlight=False, markup=False, soft_wrap=True)
    for name, value in _stage_row(done)["summary"].items():
        console.print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}", highlight=False)
    console.print(f"files: {done.folder}", highlight=False, soft_wrap=True)


def _next_commands(outcome: Outcome, recipe: Path) -> list[str]:
    published = outcome.published
    assert published is not None  # noqa: S101 - the caller has looked
    name = outcome.plan.build.recipe.name
    bundle = _short(published.folder / "bundle")
    lines = [f"bundle:  {bundle}"]
    if published.report:
        lines.append(f"report:  {_short(published.report)}")
    elif _measured_others(published):
        older = _short(published.folder / "report.html")
        lines.append(f"report:  {older} is of other files; to measure these: edgedistil run {_short(recipe)}")
    lines += [
        f"took:    {human_time(outcome.seconds)}",
        "next:",
        f"  edgedistil predict {bundle} {usage_of(published.bundle.manifest).predict}",
        f"  edgedistil bench {bundle} --threads 1",
        f"  edgedistil baseline set {bundle}",
        f"  edgedistil gate {bundle} --baseline benchmarks/baselines/{name}.json",
    ]
    return lines


def _measured_others(published: Published) -> bool:
    """Tells whether what lies beside a bundle was measured on files that it no longer holds."""
    path, manifest = published.folder / "measurements.jsonl", published.bundle.manifest
    made = read_measurements(path) if path.is_file() else []
    held = {record.sha256 for record in manifest.files}
    return any(one.bundle == manifest.name and one.sha256 not in held for one in made)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
