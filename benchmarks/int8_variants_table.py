"""The table of calibrated files by where their ranges come from, in points against fp32."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from int8_table import against

from edgedistil.bundle.formats import FORMATS, RUNTIME_TITLES

COLUMNS = {
    "": "as shipped",
    "plain": "not smoothed",
    "percentile": "percentiles",
    "minmax": "min-max",
    "entropy": "entropy",
    "qat": "trained with rounding",
    "neural-compressor": "neural-compressor",
}
_RANGES = {"": "least squared error", "percentile": "percentiles", "minmax": "min-max", "entropy": "entropy"}
_FILES = {
    "ONNX static int8": ("onnx-int8-static", "onnxruntime"),
    "ONNX static int8 in OpenVINO": ("onnx-int8-static", "openvino"),
    "TFLite static int8": ("tflite-int8-static", "litert"),
}


def variants_table(folder: Path, names: Mapping[str, str]) -> str:
    """Returns the calibrated files of each student in each runtime as a Markdown table, a column a kind of range.

    Args:
        folder: Of the results.
        names: Each result's name and its student's, as people say it.
    """
    lines = [f"| student | runtime | {' | '.join(COLUMNS.values())} |", f"|---|---|{'---:|' * len(COLUMNS)}"]
    for name, title in names.items():
        record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        rows = {row["title"]: row for row in record["rows"]}
        for file, (made, runtime) in _FILES.items():
            cells = [_cell(record, rows.get(f"{file}, {each}" if each else file), each, made) for each in COLUMNS]
            lines.append(f"| {' | '.join([title, RUNTIME_TITLES[runtime], *cells])} |")
    told = "points of the test split's score against fp32, with 95 % intervals"
    told += "; refused: parity allows less than it differs"
    return "\n".join([*lines, "", told])


def distances_table(folder: Path, names: Mapping[str, str]) -> str:
    """Returns how far each student's calibrated logits are from fp32's as a Markdown table, a column a kind of range.

    Args:
        folder: Of the results.
        names: As `variants_table`.
    """
    lines = [f"| student | file | {' | '.join(_RANGES.values())} |", f"|---|---|{'---:|' * len(_RANGES)}"]
    for name, title in names.items():
        record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        forms = {"": record["forms"], **record["variants_forms"]}
        for made in ("onnx-int8-static", "tflite-int8-static"):
            cells = [_apart(forms[each].get(made)) for each in _RANGES]
            lines.append(f"| {' | '.join([title, FORMATS[made].title, *cells])} |")
    told = "mean difference of a logit on up to 256 texts of the dev split, as it is / smoothed"
    return "\n".join([*lines, "", told])


def _apart(form: Mapping[str, float | None] | None) -> str:
    distances = [form[name] for name in ("plain", "smoothed")] if form else []
    return " / ".join("does not run" if one is None else f"{one:.3f}" for one in distances)


def _cell(record: Mapping[str, Any], row: dict[str, Any] | None, variant: str, made: str) -> str:
    if row is not None:
        return against(row)
    why = record.get("variants_left_out", {}).get(variant, {})
    return "refused" if made in why or "all" in why else ""
