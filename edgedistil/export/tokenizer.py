"""The tokeniser's files, from the teacher's folder into a bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from edgedistil.bundle.records import read_json
from edgedistil.errors import UsageError
from edgedistil.tokeniser import read_tokeniser

_SETTINGS = "tokenizer_config.json"
_OPTIONAL = ("special_tokens_map.json", "vocab.txt")


def copy_tokenizer(
    source: Path, target: Path, *, token_types: bool | None = None, max_length: int | None = None
) -> None:
    """Copies a fast tokeniser; padding and truncation, which belong to a call and not to a file, are taken off.

    Args:
        source: The teacher's folder.
        target: Made if missing.
        token_types: Whether the model beside it is to be given token types; as the teacher's is by default. To one
            that has none `transformers` would give them all the same, and fail.
        max_length: Longest text in tokens, at which `transformers` cuts; the teacher's by default.

    Raises:
        UsageError: When the folder has no `tokenizer.json`, or a file cannot be read.
    """
    tokeniser = read_tokeniser(source)
    settings = _settings(source / _SETTINGS)
    if token_types is not None:
        settings["model_input_names"] = ["input_ids", *(["token_type_ids"] if token_types else []), "attention_mask"]
    if max_length is not None:
        settings["model_max_length"] = max_length
    target.mkdir(parents=True, exist_ok=True)
    tokeniser.save(str(target / "tokenizer.json"))
    for name in _OPTIONAL:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    (target / _SETTINGS).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings = read_json(path, what="tokeniser's settings")
    if not isinstance(settings, dict):
        raise UsageError("it is no JSON object", where=str(path), cure="fetch it again")
    return settings
