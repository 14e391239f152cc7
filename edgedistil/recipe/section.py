"""What every part of a recipe is: immutable, checked, and hashed into the keys of its stages."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

FORM = "form: "
"""Begins the tag of one of several forms that a value may take: no key, so errors leave it out."""

Share = Annotated[float, Field(gt=0.0, le=1.0)]


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.key()
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return {name: _plain(part) for name, part in value.items()} if isinstance(value, dict) else value


def _parts(annotation: Any) -> list[Any]:
    return [annotation, *(part for inner in get_args(annotation) for part in _parts(inner))]


class Section(BaseModel):
    """A part of a recipe: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    LATER: ClassVar[tuple[str, ...]] = ()

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses true and false where a number goes: YAML reads `on` and `yes` so, and pydantic would make them 1."""
        if isinstance(value, bool) and info.field_name is not None:
            parts = _parts(cls.model_fields[info.field_name].annotation)
            numbers = int in parts or float in parts
            if numbers and not any(part is bool or isinstance(part, bool) for part in parts):
                raise ValueError("input should be a valid number")
        return value

    def key(self, exclude: Collection[str] = ()) -> dict[str, Any]:
        """Returns what a stage's key is made of: every value, but not those that came later and are at their default.

        So results that were made before there was such a key stay valid. A section names them in `LATER`.

        Args:
            exclude: Keys that do not change the result.
        """
        later = {name for kind in type(self).__mro__ for name in vars(kind).get("LATER", ())}
        found = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            at_default = name in later and value == field.get_default(call_default_factory=True)
            if name not in exclude and not at_default:
                found[name] = _plain(value)
        return found
