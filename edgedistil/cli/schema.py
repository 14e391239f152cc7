"""`edgedistil schema`: the recipe's JSON schema."""

from __future__ import annotations

import json

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("schema")(schema)


def schema() -> None:
    """Print the JSON schema of a recipe, for an editor that checks YAML as it is typed.

    Example: `edgedistil schema > recipe.schema.json`
    """
    from edgedistil.recipe.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=1))
