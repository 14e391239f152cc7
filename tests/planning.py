"""Plans as tests look at them."""

from __future__ import annotations

from pathlib import Path

from edgedistil.pipeline.plan import plan_recipe
from edgedistil.recipe.load import Workspace, load_recipe


def keys(recipe: Path, *overrides: str, until: str | None = None) -> dict[str, str]:
    """Returns the stages of a recipe's plan, by name, and the key of each."""
    plan = plan_recipe(load_recipe(recipe, overrides), Workspace.of_recipe(recipe), until=until)
    return {stage.name: stage.key for stage in plan.stages}
