"""Reading a Hugging Face checkpoint folder without executing anything from it."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from edgedistil.checkpoint import PICKLED_WEIGHTS, WEIGHTS, weight_files
from edgedistil.errors import EdgeDistilError, UsageError, require

_WANTED = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "pytorch_model.bin",
    "tokenizer*",
    "vocab.txt",
)


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


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Returns a checkpoint's tensors as fp32 on the CPU, by their stored names.

    safetensors come first (one file, or several with an index); an old `pytorch_model.bin` is opened with
    `weights_only`, which builds tensors and runs nothing.

    Raises:
        UsageError: When there are no weights or they cannot be read.
    """
    files = weight_files(folder)
    try:
        if files == [folder / PICKLED_WEIGHTS]:
            weights = torch.load(files[0], map_location="cpu", weights_only=True)
        else:
            weights = {key: value for path in files for key, value in load_file(path).items()}
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise UsageError("the weights cannot be read", where=str(folder), cure="fetch them again") from error
    except Exception as error:
        if type(error).__name__ == "UnpicklingError":
            raise UsageError(
                f"{PICKLED_WEIGHTS} holds more than tensors", where=str(folder), cure=f"convert it to {WEIGHTS} first"
            ) from error
        raise
    return {key: value.float() for key, value in weights.items() if isinstance(value, Tensor)}
