"""Reading a fast tokeniser's `tokenizer.json`, in either world."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from edgedistil.errors import UsageError

_CURE = "save the model's fast tokeniser there: AutoTokenizer.from_pretrained(...).save_pretrained(folder)"


def read_tokeniser(folder: Path) -> Tokenizer:
    """Returns a folder's tokeniser, without padding and truncation: they belong to a call, not to a file.

    Raises:
        UsageError: When the folder has no `tokenizer.json`, or it cannot be read.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UsageError("the folder has no tokenizer.json", where=str(folder), cure=_CURE)
    try:
        tokeniser = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - the library raises bare Exception
        raise UsageError(f"cannot read the tokeniser ({error})", where=str(path), cure="fetch it again") from None
    tokeniser.no_padding()
    tokeniser.no_truncation()
    return tokeniser
