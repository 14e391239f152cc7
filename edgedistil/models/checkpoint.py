"""Reading a Hugging Face checkpoint folder without executing anything from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from edgedistil.errors import EdgeDistilError, UsageError, require

_WANTED = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "pytorch_model.bin",
    "tokenizer*",
    "vocab.txt",
)
_SAFE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_OLD = "pytorch_model.bin"


def locate(name: str | Path, revision: str | None = None) -> Path:
    """Returns the folder of a checkpoint named by its folder or by its id on the model hub.

    Args:
        name: A folder, or an id such as `google-bert/bert-base-uncased`, which is downloaded (weights,
            configuration and tokenizer only) into the hub's own cache.
        revision: Commit or tag on the hub; its newest by default.

    Raises:
        UsageError: When there is no such folder.
        EdgeDistilError: When it is none and no such model can be fetched.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or str(name).startswith((".", "~")) or str(name).count("/") > 1:
        raise UsageError("no such folder", where=str(name), cure="give a checkpoint folder or a model id")
    require("huggingface_hub", "host")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(name), revision=revision, allow_patterns=list(_WANTED)))
    except Exception as error:
        raise EdgeDistilError(
            f"neither a folder nor a model that can be fetched ({type(error).__name__})",
            where=str(name),
            cure="check the name and the network, or give a folder",
        ) from error


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


def _parts(folder: Path) -> list[Path]:
    if (folder / _SAFE).is_file():
        return [folder / _SAFE]
    try:
        table = json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(table.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{_INDEX} cannot be read", where=str(folder), cure="fetch it again") from error
    if any(Path(name).name != name for name in names):
        raise UsageError(f"{_INDEX} names a file outside its folder", where=str(folder), cure="do not use it")
    return [folder / name for name in names]


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Returns a checkpoint's tensors as fp32 on the CPU, by their stored names.

    safetensors come first (one file, or several with an index); an old `pytorch_model.bin` is opened with
    `weights_only`, which builds tensors and runs nothing.

    Raises:
        UsageError: When there are no weights or they cannot be read.
    """
    try:
        if (folder / _SAFE).is_file() or (folder / _INDEX).is_file():
            weights = {key: value for path in _parts(folder) for key, value in load_file(path).items()}
        elif (folder / _OLD).is_file():
            weights = torch.load(folder / _OLD, map_location="cpu", weights_only=True)
        else:
            raise UsageError("no weights in the checkpoint", where=str(folder), cure=f"expected {_SAFE}")
    except UsageError:
        raise
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise UsageError("the weights cannot be read", where=str(folder), cure="fetch them again") from error
    except Exception as error:
        if type(error).__name__ == "UnpicklingError":
            raise UsageError(
                f"{_OLD} holds more than tensors", where=str(folder), cure=f"convert it to {_SAFE} first"
            ) from error
        raise
    return {key: value.float() for key, value in weights.items() if isinstance(value, Tensor)}
