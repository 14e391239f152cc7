"""A short recipe, changed or refused."""

from __future__ import annotations

import pytest
import yaml

from edgedistil.errors import UsageError
from edgedistil.recipe import parse_recipe

BASE = """\
name: small
data: {train: data/train.tsv}
teacher: {model: teacher}
prune: {parameters: 0.5}
"""


def line_of(text: str, overrides: tuple[str, ...] = ()) -> str:
    """Returns the one line that a bad recipe gives."""
    with pytest.raises(UsageError) as caught:
        parse_recipe(text, overrides)
    line = caught.value.line()
    assert "\n" not in line
    assert caught.value.exit_code == 2
    return line


def changed(**sections: object) -> str:
    """Returns the recipe above with some sections replaced."""
    return yaml.safe_dump({**yaml.safe_load(BASE), **sections})
