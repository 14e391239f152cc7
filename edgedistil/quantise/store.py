"""A model made ready for 8 bits, on disk: an ordinary model folder, its ranges, and what its inputs are scaled by."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from edgedistil.errors import UsageError
from edgedistil.models import EdgeBertHeadModel, load_model, save_model
from edgedistil.quantise.ranges import Ranges
from edgedistil.quantise.scaling import scale_inputs, without_scaling

_RANGES = "ranges.json"
_SCALING = "scaling.safetensors"


def save_ready(model: EdgeBertHeadModel, ranges: Ranges, folder: Path) -> None:
    """Writes `model/`, `ranges.json` and, where inputs are multiplied, `scaling.safetensors`.

    The weights in `model/` are those behind the multiplications: alone they are another function.

    Args:
        model: Plain or smoothed.
        ranges: Its activations'.
        folder: Made if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plain, factors = without_scaling(model)
    save_model(plain, folder / "model")
    ranges.save(folder / _RANGES)
    if factors:
        save_file(factors, folder / _SCALING)


def load_ready(folder: Path) -> tuple[EdgeBertHeadModel, Ranges]:
    """Returns what `save_ready` wrote.

    Raises:
        UsageError: When it cannot be read.
    """
    model, ranges = load_model(folder / "model"), Ranges.load(folder / _RANGES)
    path = folder / _SCALING
    if not path.is_file():
        return model, ranges
    try:
        return scale_inputs(model, load_file(path)), ranges
    except (SafetensorError, OSError, RuntimeError, AttributeError) as error:
        raise UsageError(f"it cannot be read ({error})", where=str(path), cure="smooth the model again") from error
