"""Recipes: what to produce, as checked, typed YAML."""

from edgedistil.recipe.load import Workspace, load_recipe, parse_recipe
from edgedistil.recipe.schema import Recipe, json_schema

__all__ = ["Recipe", "Workspace", "json_schema", "load_recipe", "parse_recipe"]
