"""`edgedistil init`: a workspace that a person edits and runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

_FILES = {
    "tasks/{task}.yaml": "export/{name}.yaml",
    "device.yaml": "devices/local.yaml",
    "baselines.md": "benchmarks/baselines/README.md",
    "workflow.yml": ".github/workflows/model-gate.yml",
}
_WITH_DATA = "text-classification"
"""The task whose recipe has built-in data, and runs as it is."""
_IGNORED = (".edgedistil/", "runs/")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Made if missing.")] = Path(),
    name: Annotated[str, typer.Option("--name", help="Names the recipe and its runs.")] = "my-model",
    task: Annotated[
        str, typer.Option("--task", help="What the model does; each task has a recipe of its own.")
    ] = "text-classification",
) -> None:
    """Write a workspace: a commented recipe, a device profile, a place for baselines, a CI workflow.

    In a workspace that is there already, it adds a recipe of another name.

    Example: `edgedistil init sentiment --name reviews`, `edgedistil init names --task token-classification`
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from edgedistil.bundle.records import write_text
    from edgedistil.errors import UsageError, did_you_mean

    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
        raise UsageError(f"'{name}' cannot name a recipe", cure="use small letters, digits, '.', '_' and '-'")
    environment = Environment(
        loader=PackageLoader("edgedistil.cli", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - no page is made
    )
    tasks = [Path(template).stem for template in environment.list_templates() if template.startswith("tasks/")]
    if task not in tasks:
        raise UsageError(f"no task is named '{task}'", where="--task", cure=did_you_mean(task, tasks))
    targets = {template.format(task=task): folder / path.format(name=name) for template, path in _FILES.items()}
    recipe = targets[f"tasks/{task}.yaml"]
    if recipe.exists():
        raise UsageError(
            "the file is there already", where=str(recipe), cure="nothing was written; choose another --name"
        )
    for template, path in targets.items():
        # A workspace's second recipe shares all else with its first.
        if path.exists():
            typer.echo(f"kept {path}, which was there already")
            continue
        write_text(path, environment.get_template(template).render(name=name, task=task))
        typer.echo(f"wrote {path}")
    _ignore(folder / ".gitignore")
    first = "" if task == _WITH_DATA else f"name your data in {recipe}, then: "
    typer.echo(f"next: {first}{f'cd {folder} && ' if folder != Path() else ''}edgedistil run export/{name}.yaml")


def _ignore(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    missing = [line for line in _IGNORED if line not in lines]
    if missing:
        path.write_text("\n".join([*lines, *missing]) + "\n", encoding="utf-8")
