"""A Hugging Face checkpoint's folder, without torch: its configuration, and which of its files are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgedistil.errors import UsageError, did_you_mean

WEIGHTS = "model.safetensors"
PICKLED_WEIGHTS = "pytorch_model.bin"
_INDEX = "model.safetensors.index.json"
_SETTINGS = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_SIZES = {
    "bert": ("num_hidden_layers", "hidden_size"),
    "distilbert": ("n_layers", "dim"),
    "edgedistil-bert": ("heads", "hidden_size"),
}
"""By model type, where the configuration has what a plan counts with."""


def read_config(folder: Path) -> dict[str, Any]:
    """Returns a checkpoint's `config.json`.

    Raises:
        UsageError: When it is missing or is not a JSON object.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            "no config.json in the checkpoint", where=str(folder), cure="give a Hugging Face model folder"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError("config.json cannot be read as JSON", where=str(path), cure="restore it") from error
    if not isinstance(config, dict):
        raise UsageError("config.json is not a JSON object", where=str(path), cure="restore it")
    return config


def check_config(config: Mapping[str, Any], where: str) -> None:
    """Checks that a `config.json` is of a type that can be opened, and tells its sizes.

    Raises:
        UsageError: When it is of another type, is no encoder with absolute positions, or does not tell a size.
    """
    kind = str(config.get("model_type"))
    if kind not in _SIZES:
        raise UsageError(f"model_type '{kind}' is not supported", where=where, cure=did_you_mean(kind, _SIZES))
    for key in _SIZES[kind]:
        found = config.get(key)
        # Heads are counted a layer, where there may be none.
        if not (isinstance(found, list) and found) and not (isinstance(found, int) and found > 0):
            raise UsageError(f"'{key}' in config.json is {found!r}, which is no size", where=where, cure="restore it")
    if config.get("position_embedding_type", "absolute") != "absolute" or config.get("is_decoder"):
        raise UsageError(
            "only encoders with absolute positions are supported", where=where, cure="choose another checkpoint"
        )


def weight_files(folder: Path) -> list[Path]:
    """Returns the files that a checkpoint's weights are read from.

    safetensors come first (one file, or several with an index), before an old `pytorch_model.bin`.

    Raises:
        UsageError: When there are none, or the index cannot be used.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / _INDEX).is_file():
        return _parts(folder)
    if (folder / PICKLED_WEIGHTS).is_file():
        return [folder / PICKLED_WEIGHTS]
    raise UsageError("no weights in the checkpoint", where=str(folder), cure=f"expected {WEIGHTS}")


def loaded_files(folder: Path) -> dict[str, Path]:
    """Returns what is read of a checkpoint's folder, by name: a card, say, or an optimiser's state, is not.

    Raises:
        UsageError: As `weight_files`.
    """
    weights = weight_files(folder)
    beside = _SETTINGS if folder / WEIGHTS in weights else (*_SETTINGS, _INDEX)
    return {path.name: path for path in (*(folder / name for name in beside), *weights) if path.is_file()}


def _parts(folder: Path) -> list[Path]:
    try:
        table = json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(table.values()))
        outside = any(Path(name).name != name for name in names)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{_INDEX} cannot be read", where=str(folder), cure="fetch it again") from error
    if outside:
        raise UsageError(f"{_INDEX} names a file outside its folder", where=str(folder), cure="do not use it")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise UsageError(f"{_INDEX} names {missing[0]}, which is not there", where=str(folder), cure="fetch it again")
    return [folder / name for name in names]
