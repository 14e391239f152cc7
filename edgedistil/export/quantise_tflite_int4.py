"""TFLite, `dynamic_wi4_afp32`: int4 weights per channel for some parts, int8 for the rest, dynamic activations.

SST-2's 6 x 384 student on the 872 texts of dev, in LiteRT, with its share of the fp32 file (90.9 MB):

| int4 | size | accuracy | same answer as fp32 | mean logit difference |
|---|---|---|---|---|
| nothing (dynamic int8) | 26.1 % | 91.7 % | 99.7 % | 0.02 |
| embeddings | 19.7 % | 91.9 % | 99.8 % | 0.07 |
| FFN | 22.2 % | 91.7 % | 99.0 % | 0.09 |
| embeddings and FFN | 15.8 % | 91.7 % | 98.7 % | 0.10 |
| everything | 13.8 % | 91.1 % | 97.8 % | 0.18 |

fp32 is at 91.9 %. The same student pruned by a quarter of its weights loses more, 0.8 point of 91.5 % with embeddings
and FFN, and 0.3 point with everything but the embeddings: `edgedistil.export.search` finds such choices. All load and
run in ai-edge-litert 2.3, and where the FFN is int4 a little faster than int8 (32 tokens, one thread: 9 to 20 %).
Blocks of 32 weights with a scale each bring an int4 FFN's logits a third nearer, but took 20 % longer than a scale a
channel, longer than int8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgedistil.errors import UsageError, did_you_mean
from edgedistil.export.layer_names import in_order
from edgedistil.export.tflite_layers import Product, products_of
from edgedistil.export.tflite_rules import plan, write_quantised

PARTS = {
    "embeddings": ("embeddings",),
    "attention": ("query", "key", "value", "output"),
    "ffn": ("up", "down"),
}
"""Which products a part consists of. The head, less than 1 % of a 6 x 384 model, stays in int8."""

USUAL = ("embeddings", "ffn")
"""What pays: see the module."""


def quantise_tflite_int4(source: Path, target: Path, *, parts: Sequence[str] = USUAL, keep: Sequence[str] = ()) -> None:
    """Writes the int4 form of a TFLite file; the same file gives the same bytes.

    A channel's scale is the one that makes its squared error smallest (OCTAV: Sakr et al., ICML 2022, algorithm 1): a
    weight that is far from the others is cut, where minimum and maximum would spend most of 15 steps on it.

    Args:
        source: The fp32 file.
        target: Where to write; replaced.
        parts: What gets int4 weights, keys of `PARTS`.
        keep: Names of layers that go one step up: from int4 to int8, or from int8 to fp32.

    Raises:
        UsageError: When a part is unknown, none is given, or a layer to keep is not in the file.
        EdgeDistilError: When the quantiser fails.
    """

    def rule(rules: Any, scopes: str) -> None:
        from ai_edge_quantizer import qtyping, recipe_manager

        for kind in (qtyping.TFLOperationName.FULLY_CONNECTED, qtyping.TFLOperationName.EMBEDDING_LOOKUP):
            octav = recipe_manager.AlgorithmName.OCTAV
            rules.add_dynamic_config(scopes, kind, num_bits=4, algorithm_key=octav)

    write_quantised(source, target, plan(products_of(source), _lowered(parts), keep), rule)


def int4_layers(source: Path, parts: Sequence[str] = USUAL) -> list[str]:
    """Returns the layers of an fp32 file that get int4 weights, so that to keep them changes these to int8."""
    lowered = _lowered(parts)
    return in_order(product.layer for product in products_of(source) if lowered(product))


def _lowered(parts: Sequence[str]) -> Callable[[Product], bool]:
    for part in parts:
        if part not in PARTS:
            raise UsageError(f"no part of a model is called '{part}'", cure=did_you_mean(part, PARTS))
    if not parts:
        raise UsageError("int4 for no part of the model", cure=f"choose some of: {', '.join(PARTS)}")
    roles = {role for part in parts for role in PARTS[part]}
    return lambda product: product.role in roles
