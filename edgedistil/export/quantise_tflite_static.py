"""TFLite, `static_wi8_ai8` and `static_wi8_ai16`: activations quantised with ranges found on real text beforehand.

Figures are of SST-2's 6 x 384 student, texts of dev, LiteRT 2.3 on one thread of an x86 with VNNI.

Between products everything stays in fp32. The mask adds -10000 to the scores, which as an integer would leave the
scores themselves two of 256 steps (or, in 16 bits, 250 of 65,536). With the residual sums in int8 88.3 % of 400 texts
are answered right, with norms and GELU too 85.5 %, with none of them 91.0 % and in fp32 90.8 %. Attention's two
products in int8 are none of XNNPACK's: at 128 tokens the file took 2.9 times as long.

In int8 the FFN's second product and the head stay dynamic: the FFN writes a few huge values into the residual sum
(Bondarenko, Nagel and Blankevoort, EMNLP 2021, section 3), here up to 339 where 99.9 % of values lie below 15. With
them static the logits are off by 0.21 on average and without by 0.04, where the dynamic file's are by 0.02. It is as
fast as the dynamic file, no faster: the products are the same, and to find a row's range costs next to nothing.

In 16 bits every product is static and the logits are off by 0.01, but XNNPACK has no kernel for it: LiteRT's own took
23 times as long as fp32 (64 tokens). It is for accelerators that want integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.export.layer_names import in_order
from edgedistil.export.range_methods import DEFAULT
from edgedistil.export.tflite_layers import Product, products_of
from edgedistil.export.tflite_ranges import Watched, ranges_of
from edgedistil.export.tflite_rules import plan, write_quantised

# Of how this writes files, for the key of the stage that keeps them.
VERSION = 2

Activations = Literal["int8", "int16"]

_STATIC_ROLES = {
    "int8": ("query", "key", "value", "output", "up"),
    "int16": ("query", "key", "value", "output", "up", "down", "head"),
}
_BITS = {"int8": 8, "int16": 16}


def quantise_tflite_static(
    source: Path,
    target: Path,
    *,
    rows: EvaluationSet,
    activations: Activations = "int8",
    keep: Sequence[str] = (),
    method: str = DEFAULT,
    calibration: Path | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Writes the static form of a TFLite file; the same file and text give the same bytes.

    Args:
        source: The fp32 file.
        target: Where to write; replaced.
        rows: Real text of the task, from the training split.
        activations: What the activations of static products are.
        keep: Names of layers whose products are dynamic instead of static int8; those of int16, the embeddings, which
            are dynamic anyway, and in int8 the head, stay in fp32 if they are named.
        method: How int8 ranges are chosen: a key of `range_methods.METHODS`. In int16 they are the least and greatest
            values, for 65,536 steps leave nothing to be won by clipping.
        calibration: Where the ranges are kept between calls; None measures them anew.
        ranges: Smallest and largest values known from elsewhere, such as from training with fake quantisation, by the
            name of the fp32 file's tensor; they stand in for what is measured.

    Raises:
        UsageError: When a layer to keep is not in the file, or the text is of another vocabulary.
        EdgeDistilError: When the quantiser fails.
    """
    made = plan(products_of(source), _static(activations), keep, to_fp32=activations == "int16")
    measured = ranges_of(source, rows, method if activations == "int8" else "minmax", calibration)

    def rule(rules: Any, scopes: str) -> None:
        from ai_edge_quantizer import qtyping

        kind = qtyping.TFLOperationName.FULLY_CONNECTED
        rules.add_static_config(scopes, kind, activation_num_bits=_BITS[activations], weight_num_bits=8)

    write_quantised(source, target, made, rule, Watched(source).by_tensor(measured.ranges, ranges or {}))


def static_layers(source: Path, activations: Activations = "int8") -> list[str]:
    """Returns the layers of an fp32 file that have a static product, so that to keep them changes it to dynamic."""
    static = _static(activations)
    return in_order(product.layer for product in products_of(source) if static(product))


def _static(activations: Activations) -> Callable[[Product], bool]:
    return lambda product: product.role in _STATIC_ROLES[activations]
