"""unlabelled: more in-domain text for the teacher to label. text: plain text for general distillation. Tokenised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgedistil.errors import UsageError
from edgedistil.hashing import hash_file
from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.tasks import get_task

VERSION = 1
# Questions are made of the text: other rows than in version 1.
_ASKING_VERSION = 2
_BYTES_A_SECOND = 4e5


def unlabelled_stage(build: Build) -> Stage:
    """Returns the stage that writes the unlabelled rows' `tokens/`."""
    recipe, settings = build.recipe, build.recipe.distil
    assert settings.unlabelled is not None  # noqa: S101 - the caller has looked
    return _stage(
        build,
        "unlabelled",
        settings.unlabelled,
        {
            "kind": get_task(recipe.task).kind,
            "column": settings.unlabelled_column,
            "limit": settings.unlabelled_limit,
            "max_length": recipe.max_length,
            "pack": False,
        },
    )


def text_stage(build: Build) -> Stage:
    """Returns the stage that writes the `tokens/` that general distillation reads."""
    general = build.recipe.general
    assert general is not None  # noqa: S101 - the caller has looked
    return _stage(
        build,
        "text",
        general.text,
        {
            "kind": "class",
            "column": general.column,
            "limit": general.limit,
            "max_length": general.max_length,
            "pack": True,
        },
    )


def _stage(build: Build, name: str, named: str, parameters: dict[str, Any]) -> Stage:
    path = _found(build.workspace.resolve(named), name)

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.data.unlabelled import load_unlabelled

        options = {key: value for key, value in parameters.items() if key != "max_length"}
        rows = load_unlabelled(
            path,
            build.teacher.folder,
            context.folder / "tokens",
            parameters["max_length"],
            progress=context.progress,
            **options,
        )
        return {"rows": len(rows), "tokens": int(rows.offsets[-1])}

    return Stage(
        name=name,
        version=_ASKING_VERSION if parameters["kind"] == "span" else VERSION,
        parameters=parameters,
        inputs={},
        work=work,
        fingerprints={"text": hash_file(path), "tokeniser": hash_file(build.teacher.folder / "tokenizer.json")},
        effort=Effort(seconds=path.stat().st_size / _BYTES_A_SECOND),
    )


def _found(path: Path, name: str) -> Path:
    if not path.is_file():
        key = "distil.unlabelled" if name == "unlabelled" else "general.text"
        raise UsageError("no such file", where=str(path), cure=f"correct the recipe's '{key}'")
    return path
