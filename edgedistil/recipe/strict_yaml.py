"""YAML as its standard has it: a key that is there twice is an error, where PyYAML takes the last."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml

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


def parse_yaml(text: str) -> Any:
    """Returns a YAML text's value.

    Raises:
        yaml.YAMLError: When it is no YAML; and what a value that is none raises by itself.
    """
    return yaml.load(text, _Loader)  # noqa: S506 - the loader is a safe one
