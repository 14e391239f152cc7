"""Reading a recipe: YAML to checked models, overrides, and errors of one line that name the key."""

from __future__ import annotations

import re
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from edgedistil.errors import UsageError, did_you_mean, nearest
from edgedistil.recipe.pruning import BUDGETS
from edgedistil.recipe.schema import Recipe
from edgedistil.recipe.section import FORM
from edgedistil.recipe.strict_yaml import first_line, read_yaml

_LISTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True)
class Workspace:
    """The folder that holds `export/`, `devices/`, `benchmarks/` and, after a run, `runs/`.

    Attributes:
        root: That folder; relative paths in a recipe start here.
    """

    root: Path

    @classmethod
    def of_recipe(cls, recipe: Path) -> Workspace:
        """Returns the workspace of a recipe's file: the folder above `export/`, else the file's own."""
        folder = recipe.resolve().parent
        return cls(folder.parent if folder.name == "export" else folder)

    def resolve(self, path: str) -> Path:
        """Returns a recipe's path as one that can be opened.

        Raises:
            UsageError: When it begins with the home folder of somebody who has none here.
        """
        try:
            return (self.root / Path(path).expanduser()).resolve()
        except RuntimeError:
            raise UsageError("there is no such home folder", where=path, cure="write the whole path") from None

    def run_folder(self, name: str) -> Path:
        """Returns where the run of a recipe leaves its things."""
        return self.root / "runs" / name


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads and checks a recipe.

    Args:
        path: YAML file.
        overrides: `key.subkey=value` strings, the value in YAML; each replaces one key.

    Returns:
        The checked recipe.

    Raises:
        UsageError: When the file cannot be read, is no YAML mapping, or a key or value is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError("no such recipe", where=str(path), cure=_recipes_beside(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the recipe ({first_line(error)})", where=str(path)) from error
    return parse_recipe(text, overrides, where=str(path))


def parse_recipe(text: str, overrides: Sequence[str] = (), *, where: str = "recipe") -> Recipe:
    """Checks a recipe given as YAML text.

    Args:
        text: The YAML.
        overrides: As for `load_recipe`.
        where: How errors name the text.

    Raises:
        UsageError: One line that names the key, what is wrong and the nearest right one.
    """
    raw = read_yaml(text, where)
    if not isinstance(raw, dict):
        raise UsageError("a recipe is a mapping of keys", where=where, cure="see 'edgedistil schema'")
    for override in overrides:
        _apply(raw, override)
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise _usage_error(error, where) from None


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {override!r} is not key=value", cure="for example --set prune.parameters=0.4")
    *parents, last = key.strip().split(".")
    node = raw
    for parent in parents:
        child = node.get(parent)
        if child is not None and not isinstance(child, dict):
            raise UsageError(f"'{parent}' is not a section", where=f"--set {override}")
        # A YAML alias and its anchor are one object: what is set in one place stays there.
        node[parent] = dict(child or {})
        node = node[parent]
    node[last] = read_yaml(value, f"--set {override}", numbered=False)
    if parents == ["prune"] and last in BUDGETS:
        # A budget given on the command line replaces the recipe's, rather than joining it.
        for other in set(BUDGETS) - {last}:
            node.pop(other, None)


def _usage_error(error: ValidationError, where: str) -> UsageError:
    errors = error.errors(include_url=False)
    # A misspelt key is both unknown and missing: the first says more.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    tail = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if first["type"] == "extra_forbidden":
        parents, last = _keys(first["loc"][:-1]), str(first["loc"][-1])
        cure = did_you_mean(last, list(_section_at(parents).model_fields))
        return UsageError(f"unknown key '{'.'.join([*parents, last])}'{tail}", where=where, cure=cure)
    key = ".".join(_keys(first["loc"]))
    if first["type"] == "missing":
        return UsageError(f"the key '{key}' is missing{tail}", where=where, cure="add it; see 'edgedistil schema'")
    message = first["msg"].removeprefix("Value error, ")
    given = "" if isinstance(first["input"], (dict, list, BaseModel)) else f", not {_shown(first['input'])}"
    prefix = f"{key}: " if key else ""
    what = f"{prefix}{message[0].lower()}{message[1:]}{given}{tail}"
    # Pydantic lists what may stand there; of a long list the nearest is worth a word more.
    close = nearest(str(first["input"]), _LISTED.findall(message)) if first["type"] == "literal_error" else None
    return UsageError(what, where=where, cure=f"did you mean '{close}'?" if close else None)


def _keys(place: Sequence[str | int]) -> list[str]:
    return [str(part) for part in place if not str(part).startswith(FORM)]


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:
        # Python writes no number of more than 4300 digits.
        return "a number that long"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _section_at(path: Sequence[str]) -> type[BaseModel]:
    model: type[BaseModel] = Recipe
    for part in path:
        if part.isdecimal():
            continue
        field = model.model_fields.get(part)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            break
        model = inner
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := _model_in(part))), None)


def _recipes_beside(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("export")
    names = sorted(p.name for p in folder.glob("*.yaml")) if folder.is_dir() else []
    if not names:
        return "make a workspace with 'edgedistil init'"
    return did_you_mean(path.name, names)
