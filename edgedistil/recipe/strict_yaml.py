"""YAML as its standard has it: a key that is there twice is an error, where PyYAML takes the last."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml

from edgedistil.errors import UsageError

_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """Builds plain values alone."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Refuses what is there twice as it is written: keys that are merged in later may be given anew."""
        node = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
        counts = Counter((key.tag, key.value) for key in keys)
        for key in reversed(keys):
            if counts[key.tag, key.value] > 1:
                raise yaml.MarkedYAMLError(problem=f"the key '{key.value}' is there twice", problem_mark=key.start_mark)
        return node


def read_yaml(text: str, where: str, *, numbered: bool = True) -> Any:
    """Returns a YAML text's value.

    Args:
        text: The text.
        where: How an error names it.
        numbered: Whether an error names the line too.

    Raises:
        UsageError: When it is no YAML, or a key is there twice.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - the loader is a safe one
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark and numbered else where
        problem = getattr(error, "problem", None) or first_line(error)
    except Exception as error:  # noqa: BLE001 - a date 2020-99-99, `!!int x`, a thousand brackets: each raises its own
        place, problem = where, first_line(error)
    raise UsageError(f"not valid YAML ({problem})", where=place, cure="check indentation and quotes")


def first_line(error: Exception) -> str:
    """Returns the first line of what an error says, or what kind it is of."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
