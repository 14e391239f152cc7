"""Rules for ai-edge-quantizer, operation by operation, and the file that they make.

Whatever the scheme, a layer that is kept goes one step up: from int4 to int8 weights, from int8 activations with fixed
ranges to ones quantised at run time, and from there to fp32; from int16 activations straight to fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedistil.errors import EdgeDistilError, require
from edgedistil.export.layer_names import chosen
from edgedistil.export.tflite_layers import Product, pattern
from edgedistil.export.tflite_writing import compact
from edgedistil.quiet import silence

AddRule = Callable[[Any, str], None]
"""Adds to a recipe manager the scheme's rule for operations that a regular expression finds."""


@dataclass(frozen=True)
class Plan:
    """Which operations get what; all others are dynamic int8.

    Attributes:
        lowered: Scopes that get the scheme's own rule.
        plain: Scopes that stay in fp32.
    """

    lowered: tuple[str, ...]
    plain: tuple[str, ...]


def plan(
    products: Sequence[Product], lowered: Callable[[Product], bool], keep: Sequence[str], *, to_fp32: bool = False
) -> Plan:
    """Decides what every operation gets.

    Args:
        products: The file's operations with weights.
        lowered: Whether an operation gets the scheme's own rule rather than dynamic int8.
        keep: Names of layers that go one step up.
        to_fp32: Such a step leads past dynamic int8, which is less than what the scheme has.

    Raises:
        UsageError: When a layer to keep is not in the file.
    """
    kept = chosen(keep, {product.layer for product in products})
    lower = [product for product in products if lowered(product)]
    stepped = set() if to_fp32 else {product.layer for product in lower}.intersection(kept)
    return Plan(
        tuple(product.scope for product in lower if product.layer not in kept),
        tuple(product.scope for product in products if product.layer in kept and product.layer not in stepped),
    )


def write_quantised(
    source: Path, target: Path, made: Plan, rule: AddRule | None = None, ranges: Mapping[str, Any] | None = None
) -> None:
    """Writes the quantised form of an fp32 file; the same file and plan give the same bytes.

    Args:
        source: The fp32 file.
        target: Where to write; replaced.
        made: What every operation gets.
        rule: The scheme's own rule.
        ranges: Ranges of the tensors that get fixed ones, as ai-edge-quantizer's calibration names them.

    Raises:
        EdgeDistilError: When the quantiser fails.
    """
    require("ai_edge_quantizer", "host")
    try:
        with silence():
            from ai_edge_quantizer import quantizer

            maker = quantizer.Quantizer(str(source))
            maker.load_quantization_recipe(_recipe(made, rule))
            target.unlink(missing_ok=True)
            with compact():
                maker.quantize(None if ranges is None else dict(ranges)).export_model(str(target))
    except Exception as error:
        raise EdgeDistilError(f"cannot quantise it ({error})", where=str(source)) from error


def _recipe(made: Plan, rule: AddRule | None) -> Any:
    from ai_edge_quantizer import qtyping, recipe_manager

    everything = qtyping.TFLOperationName.ALL_SUPPORTED
    rules = recipe_manager.RecipeManager()
    rules.add_dynamic_config(".*", everything, num_bits=8)
    if rule is not None and made.lowered:
        rule(rules, pattern(made.lowered))
    if made.plain:
        untouched = recipe_manager.AlgorithmName.NO_QUANTIZE
        rules.add_quantization_config(pattern(made.plain), everything, algorithm_key=untouched)
    return rules.get_quantization_recipe()
