"""The model card: Hugging Face front matter and a body that a reader without edgedistil can use."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
import yaml

from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.manifest import FileRecord, Manifest, StageRecord
from edgedistil.bundle.usage import hub_metric, usage_of

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.-]*")
_RUNTIME_LIBRARIES = {"onnxruntime": "onnx", "litert": "tflite", "pytorch": "transformers"}


# Whose use is shown, the best first, by the extra of this package that opens them.
_SHOWN = {
    "ort": ("onnx-int8", "onnx-fp32", "onnx-int8-static", "onnx-int4", "onnx-fp16"),
    "litert": ("tflite-int8", "tflite-fp32", "tflite-int8-static", "tflite-int16-static", "tflite-int4"),
}


def render_card(manifest: Manifest) -> str:
    """Returns the `README.md` of a bundle; the same manifest gives the same text."""
    environment = jinja2.Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown, and every cell goes through the `cell` filter
    )
    environment.filters |= {
        "cell": _cell,
        "megabytes": _megabytes,
        "score": _score,
        "literal": json.dumps,
        "told": _told,
    }
    source = resources.files("edgedistil.bundle").joinpath("templates/card.md").read_text(encoding="utf-8")
    models = [record for name in FORMATS if (record := manifest.record(name))]
    return environment.from_string(source).render(
        manifest=manifest,
        usage=usage_of(manifest),
        metric=next((record.accuracy.metric for record in models if record.accuracy), "score"),
        front_matter=yaml.safe_dump(_front_matter(manifest), sort_keys=False, allow_unicode=True),
        models=models,
        others=[record for record in manifest.files if record.format is None],
        titles={name: made.title for name, made in FORMATS.items()},
        onnx=_first(manifest, *_SHOWN["ort"]),
        tflite=_first(manifest, *_SHOWN["litert"]),
        extra=next((extra for extra, names in _SHOWN.items() if _first(manifest, *names)), None),
        weights=manifest.record("pytorch"),
        rounding=_rounding(models),
        **_told_of_stages(manifest),
        vocabulary=next((stage.summary for stage in manifest.lineage if stage.name == "vocabulary"), None),
        seconds=sum(stage.seconds for stage in manifest.lineage),
    )


def _front_matter(manifest: Manifest) -> dict[str, Any]:
    """Returns the metadata of the Hub's model card specification; keys that are not known are left out."""
    formats = [made for made in FORMATS.values() if manifest.record(made.name)]
    libraries = [_RUNTIME_LIBRARIES[made.runtime] for made in formats]
    weights = manifest.record("pytorch")
    opened = [name for name in libraries if name != "transformers" or (weights and "/" not in weights.path)]
    tags = ["edgedistil", *dict.fromkeys(opened), "distillation"]
    if _rounding([record for made in formats if (record := manifest.record(made.name))]):
        tags.append("quantized")
    values: dict[str, Any] = {}
    if manifest.licence and _LICENCE_ID.fullmatch(manifest.licence.lower()):
        values["license"] = manifest.licence.lower()
    if manifest.base_model and _HUB_ID.fullmatch(manifest.base_model):
        values["base_model"] = manifest.base_model
    if libraries:
        values["library_name"] = libraries[0]
    values |= {"pipeline_tag": usage_of(manifest).pipeline, "tags": tags}
    metrics = [record for made in formats if (record := manifest.record(made.name)) and record.accuracy]
    if metrics:
        values["metrics"] = sorted({hub_metric(record.accuracy.metric) for record in metrics if record.accuracy})
        values["model-index"] = [_model_index(manifest, metrics)]
    return values


def _model_index(manifest: Manifest, records: list[FileRecord]) -> dict[str, Any]:
    splits = dict.fromkeys(record.accuracy.split for record in records if record.accuracy)
    return {
        "name": _line(manifest.name),
        "results": [
            {
                "task": {"type": usage_of(manifest).pipeline},
                "dataset": {
                    "name": _line(manifest.dataset.source),
                    "type": re.sub(r"[^\w./-]+", "-", manifest.dataset.source).strip("-") or "dataset",
                    "split": split,
                },
                "metrics": [
                    _metric(record) for record in records if record.accuracy and record.accuracy.split == split
                ],
            }
            for split in splits
        ],
    }


def _metric(record: FileRecord) -> dict[str, Any]:
    assert record.accuracy is not None  # noqa: S101 - the caller has chosen those that have one
    title = FORMATS[record.format].title if record.format else record.path
    return {
        "type": hub_metric(record.accuracy.metric),
        "value": round(record.accuracy.value, 4),
        "name": f"{record.accuracy.metric}, {title}",
    }


def _told_of_stages(manifest: Manifest) -> dict[str, Any]:
    """Returns what the stages that a bundle came out of say of it."""
    stages = {stage.name: stage.summary for stage in manifest.lineage}
    quantise = manifest.recipe.get("quantise")
    return {
        "stages": set(stages),
        "teacher_trained": "steps" in stages.get("teacher", {}),
        # A family's members are named after their speedups.
        "pruned": any(name.partition("-")[0] == "prune" for name in stages),
        "chosen": any("best_step" in summary for summary in stages.values()),
        "rounded": "quantise" in stages and isinstance(quantise, dict) and bool(quantise.get("qat")),
    }


def _rounding(records: Sequence[FileRecord]) -> list[str]:
    """Returns the integers in which some files hold their weights."""
    found = {FORMATS[record.format].scheme.weights for record in records if record.format}
    return sorted(found & {"int8", "int4"}, reverse=True)


def _first(manifest: Manifest, *names: str) -> FileRecord | None:
    return next((record for name in names if (record := manifest.record(name))), None)


def _line(value: Any) -> str:
    return " ".join(str(value).split())


def _cell(value: Any) -> str:
    """Returns a value as one line that cannot break a Markdown table or start HTML."""
    return _line(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _score(record: FileRecord) -> str:
    made = record.accuracy
    if made is None:
        return "not measured"
    unit = " %" if made.metric == "accuracy" else ""
    others = "".join(f"; {name} {100 * value:.1f}" for name, value in made.others.items())
    return f"{100 * made.value:.1f}{unit} ({100 * made.low:.1f} to {100 * made.high:.1f}){others}"


def _told(stage: StageRecord) -> str:
    """Returns a stage's single figures in words; lists and tables stay in the manifest."""
    plain = {name: value for name, value in stage.summary.items() if isinstance(value, str | int | float)}
    texts = {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in plain.items()}
    return "; ".join(f"{name.replace('_', ' ')} {text}" for name, text in texts.items())
