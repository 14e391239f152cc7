"""From a trained model to a bundle: files exported and checked, then assembled with their facts."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.manifest import DatasetRecord, ModelShape, StageRecord
from edgedistil.bundle.records import write_text
from edgedistil.bundle.write import BundleDetails, FileFacts, write_bundle
from edgedistil.data.prepare import PreparedData
from edgedistil.data.tokens import open_tokens
from edgedistil.distil.evaluate import predict_logits
from edgedistil.errors import EdgeDistilError
from edgedistil.export.all import ExportedFile, export_all
from edgedistil.export.search.records import SearchLog
from edgedistil.export.targeting import export_to_target
from edgedistil.export.tokenizer import copy_tokenizer
from edgedistil.models import count_parameters, is_uniform, load_model, root_config, save_model, save_plain
from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.pipeline.quantising import calibrating_of, target_of
from edgedistil.pipeline.stage import Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.vocabulary import tokeniser_folder
from edgedistil.report.trials import TRIALS_NAME

_PACKAGES = (
    "torch",
    "transformers",
    "datasets",
    "optimum",
    "optimum-onnx",
    "onnx",
    "onnxruntime",
    "litert-torch",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "neural-compressor-pt",
    "tokenizers",
    "numpy",
)


def make_bundle(
    build: Build, source: Stage, ready: Stage | None, name: str, formats: list[str], context: StageContext
) -> dict[str, Any]:
    """Exports a finished model and writes `bundle/` into the stage's folder.

    Args:
        build: The recipe.
        source: The stage that made the model.
        ready: The stage that made it ready for 8 bits, if there was one.
        name: `export`, `reference-teacher` or `reference-student`.
        formats: Formats to make.
        context: The stage's folders.

    Returns:
        The summary: each format's parity, and a line for each that did not hold and was left out.

    Raises:
        EdgeDistilError: When no file at all held.
    """
    model = load_model(context.inputs["model"] / "model")
    dev = open_tokens(context.inputs["data"] / "dev")
    work = context.folder / "files"
    work.mkdir()
    copy_tokenizer(
        tokeniser_folder(build, context.inputs["data"]),
        work,
        token_types=_told_types(model.config),
        max_length=build.recipe.max_length,
    )
    exported, log = _export(build, model, name, formats, work, context)
    left_out = {file.format: file.failure for file in exported if file.failure}
    for failure in left_out.values():
        context.progress.say(f"edgedistil: not put into the bundle: {failure}")
    if len(left_out) == len(exported):
        raise EdgeDistilError(next(iter(left_out.values())) or "no file held", where=name)
    if log is not None:
        write_text(work / TRIALS_NAME, log.model_dump_json(indent=1) + "\n")
    _write_weights(model, work, plain_only=name != "export")
    (work / "evaluation").mkdir()
    dev.save(work / "evaluation" / "dev.npz")
    answers = context.inputs["data"] / "dev" / "answers.jsonl"
    if answers.is_file():
        shutil.copyfile(answers, work / "evaluation" / "dev.jsonl")
    # A stage whose model no file was made from is none of theirs.
    used = ready if ready and any(file.ready and not file.failure for file in exported) else source
    write_bundle(
        context.folder / "bundle", _files(work, left_out), _details(build, used, name, model, exported, context)
    )
    shutil.rmtree(work)
    held = [file for file in exported if not file.failure and file.parity]
    return {
        "parity": {file.format: file.parity.model_dump() for file in held if file.parity},
        "left_out": left_out,
        "forms": {file.format: file.form.as_json() for file in exported if file.form},
        "parameters": model.num_parameters(),
    }


def _told_types(config: EdgeBertConfig) -> bool:
    """Returns whether `transformers` must give a model its token types: ours sees where the second text begins."""
    return config.type_vocab_size > 0 and config.separator_token_id is not None


def _export(
    build: Build, model: EdgeBertHeadModel, name: str, formats: list[str], work: Path, context: StageContext
) -> tuple[list[ExportedFile], SearchLog | None]:
    """Returns each format's outcome and, of files that may lose only so much, what was tried."""
    data = context.inputs["data"]
    dev = open_tokens(data / "dev")
    lengths, reference = build.recipe.export.sequence_lengths, predict_logits(model, dev)
    calibrating = calibrating_of(build, formats, context)
    target = target_of(build, data) if name == "export" else None
    if target is None:
        return export_all(model, formats, lengths, dev, reference, work, context.progress, calibrating), None
    return export_to_target(model, formats, lengths, dev, reference, work, target, context.progress, calibrating)


def _write_weights(model: EdgeBertHeadModel, folder: Path, *, plain_only: bool) -> None:
    """Writes the root's configuration and, apart from references, the PyTorch weights."""
    config = root_config(model)
    if plain_only:
        (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    elif is_uniform(model.config):
        save_plain(model, folder)
    else:
        (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
        save_model(model, folder / "pytorch")


def _files(folder: Path, left_out: dict[str, str]) -> dict[str, Path]:
    dropped = {FORMATS[name].path for name in left_out}
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items() if name not in dropped}


def _details(
    build: Build,
    source: Stage,
    name: str,
    model: EdgeBertHeadModel,
    exported: list[ExportedFile],
    context: StageContext,
) -> BundleDetails:
    recipe = build.recipe
    prepared = PreparedData.load(context.inputs["data"])
    config = model.config
    facts = {FORMATS[file.format].path: FileFacts(file.format, file.parity) for file in exported if not file.failure}
    if name == "export":
        uniform = is_uniform(config)
        facts["model.safetensors" if uniform else "pytorch/model.safetensors"] = FileFacts("pytorch")
    return BundleDetails(
        name=recipe.name if name == "export" else f"{recipe.name}-{name.removeprefix('reference-')}",
        task=recipe.task,
        labels=prepared.labels,
        max_length=recipe.max_length,
        sequence_lengths=recipe.export.sequence_lengths,
        recipe=recipe.model_dump(mode="json"),
        lineage=_lineage(build, source),
        packages=package_versions(),
        seed=recipe.seed,
        dataset=DatasetRecord(
            source=recipe.examples.hub_id or recipe.examples.source,
            fingerprint=build.examples,
            counts=prepared.counts,
            licence=recipe.examples.licence,
        ),
        model=ModelShape(
            layers=len(config.heads),
            hidden_size=config.hidden_size,
            heads=list(config.heads),
            ffn=list(config.ffn),
            vocabulary=config.vocab_size,
            parameters=count_parameters(config).total,
        ),
        base_model=build.teacher.title,
        licence=recipe.teacher.licence,
        facts=facts,
    )


def _lineage(build: Build, source: Stage) -> list[StageRecord]:
    from edgedistil.pipeline.plan import in_order

    records = []
    for stage in in_order(source):
        done = build.cache.find(stage)
        if done:
            records.append(
                StageRecord(
                    name=done.name, key=done.key, version=done.version, seconds=done.seconds, summary=done.summary
                )
            )
    return records


def package_versions() -> dict[str, str]:
    """Returns the installed versions of the packages that decide what a file is."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
