"""general: the student distilled over plain text, before or in place of a task."""

from __future__ import annotations

from typing import Any

from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build, start_fingerprint
from edgedistil.pipeline.stages.text import text_stage
from edgedistil.recipe.schema import GeneralText

VERSION = 1
_NOT_TRAINED_ON = {"text", "column", "limit", "max_length"}


def general_stage(build: Build) -> Stage:
    """Returns the stage that writes the distilled encoder with its masked-language head, for any task.

    `model/` is read by the stages after it; `encoder/` is the same as a plain `distilbert` with its tokeniser.
    """
    recipe, settings = build.recipe, build.recipe.general
    assert settings is not None  # noqa: S101 - the caller has looked

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.export.tokenizer import copy_tokenizer
        from edgedistil.models import save_model, save_plain
        from edgedistil.pipeline.general import distil_over_text

        model, summary = distil_over_text(build, settings, context)
        save_model(model, context.folder / "model")
        save_plain(model, context.folder / "encoder")
        copy_tokenizer(build.teacher.folder, context.folder / "encoder", token_types=False)
        return summary

    return Stage(
        name="general",
        version=VERSION,
        parameters={
            "student": recipe.student.key({"start"}),
            "general": settings.key(_NOT_TRAINED_ON),
            "seed": recipe.seed,
        },
        inputs={"text": text_stage(build)},
        work=work,
        together=True,
        fingerprints={"checkpoint": build.teacher.fingerprint, **start_fingerprint(build)},
        effort=Effort(_operations(build, settings)),
    )


def _operations(build: Build, settings: GeneralText) -> float:
    done = build.cache.find(text_stage(build))
    tokens = done.summary["tokens"] if done else build.workspace.resolve(settings.text).stat().st_size / 4
    student = 3 * build.forward(build.recipe.student.layers, tokens)
    return settings.epochs * (student + build.forward(build.teacher_layers, tokens))
