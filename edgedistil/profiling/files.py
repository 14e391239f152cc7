"""The model files that a latency table is measured with: real exports of random weights, in the form that ships."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from edgedistil.bench.latency import Setting
from edgedistil.bench.latency_fit import Design
from edgedistil.bundle.formats import FORMATS
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.export.onnx import export_onnx
from edgedistil.export.quantise_onnx import quantise_onnx
from edgedistil.export.quantise_tflite import quantise_tflite
from edgedistil.export.tflite import export_tflite
from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.modelling import MODELS, EdgeBertHeadModel

# A look-up costs the same in a vocabulary of any size; a small one is exported in no time.
_VOCABULARY = 512


def build_model(design: Design, setting: Setting) -> EdgeBertHeadModel:
    """Returns a model of the wanted widths with random weights, which no kernel's speed depends on.

    Its head is a classifier of texts, or where the shape says that every token is looked at, one of tokens.
    """
    shape = setting.shape
    head = "sequence" if shape.first_token else "token"
    config = EdgeBertConfig(
        vocab_size=_VOCABULARY,
        hidden_size=shape.hidden_size,
        head_size=shape.head_size,
        heads=design.heads,
        ffn=design.ffn,
        max_position_embeddings=max(setting.sequence_length, 4),
        activation=shape.activation,
        head=head,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MODELS[head](config).eval()


def make_file(design: Design, setting: Setting, path: Path) -> None:
    """Writes a model of the wanted widths in the setting's format.

    Raises:
        UsageError: When the format is not one that is exported.
    """
    export_as(build_model(design, setting), setting, path)


def export_as(model: EdgeBertHeadModel, setting: Setting, path: Path, lengths: Sequence[int] | None = None) -> None:
    """Writes a model in the setting's format.

    Args:
        model: In fp32.
        setting: Format and sequence length.
        path: Where to.
        lengths: Lengths of a file of static shapes; the setting's alone by default.

    Raises:
        UsageError: When the format is not one that is exported.
    """
    signatures = list(lengths or [setting.sequence_length])
    makers: dict[str, Callable[[EdgeBertHeadModel, Path], None]] = {
        "onnx-fp32": export_onnx,
        "onnx-int8": _through(export_onnx, quantise_onnx),
        "tflite-fp32": lambda model, to: export_tflite(model, to, signatures),
        "tflite-int8": _through(lambda model, to: export_tflite(model, to, signatures), quantise_tflite),
    }
    if setting.format not in makers:
        raise UsageError(f"unknown format '{setting.format}'", cure=did_you_mean(setting.format, makers))
    path.parent.mkdir(parents=True, exist_ok=True)
    makers[setting.format](model, path)


def _through(
    export: Callable[[EdgeBertHeadModel, Path], None], quantise: Callable[[Path, Path], None]
) -> Callable[[EdgeBertHeadModel, Path], None]:
    def make(model: EdgeBertHeadModel, path: Path) -> None:
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            plain = Path(scratch) / f"plain{path.suffix}"
            export(model, plain)
            quantise(plain, path)

    return make


def file_name(number: int, setting: Setting) -> str:
    """Returns a probe's file name: its number and its format's suffix."""
    return f"probe-{number:02d}{Path(FORMATS[setting.format].path).suffix}"
