"""`edgedistil run` and the verbs that stop after one step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from edgedistil.cli.console import open_console
from edgedistil.errors import require
from edgedistil.progress import SilentProgress, TerminalProgress

_Recipe = Annotated[Path, typer.Argument(help="The recipe, such as export/quickstart.yaml.", show_default=False)]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one key, such as prune.parameters=0.4. May be repeated."),
]
_DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Print the plan and its times, and do none of it; a checkpoint that it names is fetched."
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]

_VERBS = {
    "teacher": "Fine-tune (or load) and score the teacher.",
    "general": "Distil the student over plain text, for any task to come.",
    "distil": "Train the student to follow the teacher.",
    "prune": "Remove heads and FFN blocks under the recipe's budget, and recover.",
    "export": "Make the files, check each against PyTorch, put those that hold into a bundle.",
}


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("run")(run)
    for verb, words in _VERBS.items():
        app.command(verb, help=f"{words}\n\nExample: `edgedistil {verb} export/quickstart.yaml`")(_step(verb))


def run(recipe: _Recipe, overrides: _Set = None, dry_run: _DryRun = False, as_json: _Json = False) -> None:
    """Run a recipe from teacher to report. What is done already is reused; a killed run goes on.

    Example: `edgedistil run export/quickstart.yaml --set student.layers=4`
    """
    _run(recipe, overrides, None, dry_run, as_json)


def _step(verb: str) -> Callable[..., None]:
    def command(recipe: _Recipe, overrides: _Set = None, dry_run: _DryRun = False, as_json: _Json = False) -> None:
        _run(recipe, overrides, verb, dry_run, as_json)

    return command


def _run(recipe: Path, overrides: list[str] | None, until: str | None, dry_run: bool, as_json: bool) -> None:
    from edgedistil.pipeline.show import plan_table, result_view
    from edgedistil.recipe.load import Workspace, load_recipe

    checked = load_recipe(recipe, overrides or [])
    for module in ("torch", "transformers", "datasets", "accelerate", "optimum", "litert_torch", "ai_edge_quantizer"):
        require(module, "host")
    from edgedistil.pipeline.processes import is_main
    from edgedistil.pipeline.run import plan_recipe, run_plan

    plan = plan_recipe(checked, Workspace.of_recipe(recipe), until=until)
    console = open_console()
    if dry_run:
        view = plan_table(plan)
        typer.echo(json.dumps(view.as_json(), indent=1)) if as_json else console.print(view.table())
        return
    outcome = run_plan(plan, TerminalProgress() if is_main() else SilentProgress())
    if not is_main():
        return
    view_of = result_view(outcome, recipe)
    typer.echo(json.dumps(view_of.as_json(), indent=1)) if as_json else view_of.print(console)
