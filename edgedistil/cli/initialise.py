"""`edgedistil init`: a workspace that a person edits and runs."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

_FILES = {
    "recipe.yaml": "export/{name}.yaml",
    "device.yaml": "devices/local.yaml",
    "baselines.md": "benchmarks/baselines/README.md",
    "workflow.yml": ".github/workflows/model-gate.yml",
}
_IGNORED = (".edgedistil/", "runs/")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Made if missing.")] = Path(),
    name: Annotated[str, typer.Option("--name", help="Names the recipe and its runs.")] = "my-model",
) -> None:
    """Write a workspace: a commented recipe, a device profile, a place for baselines, a CI workflow.

    Example: `edgedistil init sentiment --name reviews`
    """
    from jinja2 import Environment, StrictUndefined

    from edgedistil.errors import UsageError

    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
        raise UsageError(f"'{name}' cannot name a recipe", cure="use small letters, digits, '.', '_' and '-'")
    targets = {template: folder / path.format(name=name) for template, path in _FILES.items()}
    present = [path for path in targets.values() if path.exists()]
    if present:
        raise UsageError("the file is there already", where=str(present[0]), cure="nothing was written; choose --name")
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701
    templates = resources.files("edgedistil.cli") / "templates"
    for template, path in targets.items():
        text = (templates / template).read_text(encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(environment.from_string(text).render(name=name), encoding="utf-8")
        typer.echo(f"wrote {path}")
    _ignore(folder / ".gitignore")
    typer.echo(f"next: {f'cd {folder} && ' if folder != Path() else ''}edgedistil run export/{name}.yaml")


def _ignore(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    missing = [line for line in _IGNORED if line not in lines]
    if missing:
        path.write_text("\n".join([*lines, *missing]) + "\n", encoding="utf-8")
