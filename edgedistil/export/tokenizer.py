"""The tokeniser's files, from the teacher's folder into a bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from edgedistil.tokeniser import read_tokeniser

_OPTIONAL = ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copies a fast tokeniser; padding and truncation, which belong to a call and not to a file, are taken off.

    Args:
        source: The teacher's folder.
        target: Made if missing.

    Raises:
        UsageError: When the folder has no `tokenizer.json`, or it cannot be read.
    """
    tokeniser = read_tokeniser(source)
    target.mkdir(parents=True, exist_ok=True)
    tokeniser.save(str(target / "tokenizer.json"))
    for name in _OPTIONAL:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    settings = target / "tokenizer_config.json"
    if not settings.is_file():
        settings.write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}), encoding="utf-8")
