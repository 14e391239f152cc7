"""The tokeniser's files, from the teacher's folder into a bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tokenizers import Tokenizer

from edgedistil.errors import UsageError

_OPTIONAL = ("tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copies a fast tokeniser; padding and truncation, which belong to a call and not to a file, are taken off.

    Args:
        source: The teacher's folder.
        target: Made if missing.

    Raises:
        UsageError: When the folder has no `tokenizer.json`, or it cannot be read.
    """
    path = source / "tokenizer.json"
    if not path.is_file():
        raise UsageError(
            "the folder has no tokenizer.json",
            where=str(source),
            cure="save the model's fast tokeniser there: AutoTokenizer.from_pretrained(...).save_pretrained(folder)",
        )
    try:
        tokeniser = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - the library raises bare Exception
        raise UsageError(f"cannot read the tokeniser ({error})", where=str(path), cure="fetch it again") from None
    tokeniser.no_padding()
    tokeniser.no_truncation()
    target.mkdir(parents=True, exist_ok=True)
    tokeniser.save(str(target / "tokenizer.json"))
    for name in _OPTIONAL:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    settings = target / "tokenizer_config.json"
    if not settings.is_file():
        settings.write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}), encoding="utf-8")
