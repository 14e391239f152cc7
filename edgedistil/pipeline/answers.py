"""Asked and answered: what a run's pruning was asked for, and what the file that ships came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgedistil.bench.measurement import Measurement
from edgedistil.bundle.formats import FORMATS
from edgedistil.pipeline.cache import Finished
from edgedistil.recipe.schema import Prune


def answers_of(
    prune: Prune | None, finished: Mapping[str, Finished], measurements: Sequence[Measurement]
) -> list[dict[str, Any]]:
    """Returns an answer a target, in order; none where the budget is a share, which is kept exactly.

    Args:
        prune: The recipe's section.
        finished: The run's stages.
        measurements: The bench's, of the files that ship; empty before there is a bench.

    Returns:
        Each with the pruning stage's `asked`, `predicted`, `measured`, its own `stage`, the member's dev `scores`, and
        for the last one `shipped`, the bench's figure in `shipped_unit`, with its `shipped_miss`. Of a speedup there is
        `shipped_speedup` beside it: over the unpruned student's file of the same format in the same session.
    """
    found = []
    for name, done in finished.items():
        if "answer" in done.summary:
            recovered = finished.get(name.replace("prune", "recover", 1), done)
            scores = {key: value for key, value in recovered.summary.items() if key.startswith(("dev_", "test_"))}
            kept = {key: value for key, value in done.summary["answer"].items() if key != "attempts"}
            searches = len(done.summary["answer"]["attempts"])
            found.append({"stage": name, **kept, "searches": searches, "scores": scores})
    if found and prune is not None:
        found[-1] |= _shipped(prune, found[-1], measurements)
    return found


def _shipped(prune: Prune, answer: Mapping[str, Any], measurements: Sequence[Measurement]) -> dict[str, Any]:
    made = next((made for made in measurements if made.format == prune.format and made.name.startswith("pruned")), None)
    if made is None:
        return {}
    title, unit = FORMATS[prune.format].title, answer["unit"]
    value = _value(made, unit)
    if value is None:
        return {}
    shipped = {"shipped": value, "shipped_unit": unit, "shipped_file": title}
    if answer["budget"] != "speedup":
        return {**shipped, "shipped_miss": value / answer["asked"] - 1}
    whole = next((_value(other, unit) for other in measurements if other.name == f"student, {title}"), None)
    if whole is None:
        return shipped
    return {**shipped, "shipped_speedup": whole / value, "shipped_miss": answer["asked"] * value / whole - 1}


def _value(made: Measurement, unit: str) -> float | None:
    if unit == "MB":
        return made.bytes / 1e6
    if unit == "ms":
        return made.p50_ms.value if made.p50_ms else None
    return (made.instructions or {}).get("total")


def line_of(answer: Mapping[str, Any]) -> str:
    """Returns an answer as one line."""
    line = f"{answer['stage']}: {answer['line']}"
    if "shipped" not in answer:
        return line
    miss = f" ({100 * answer['shipped_miss']:+.1f} %)" if "shipped_miss" in answer else ""
    figure = f"{answer['shipped']:.3g} {answer['shipped_unit']}"
    if "shipped_speedup" in answer:
        return f"{line}; {answer['shipped_file']} as shipped: {answer['shipped_speedup']:.3g}x{miss}, {figure}"
    return f"{line}; {answer['shipped_file']} as shipped: {figure}{miss}"
