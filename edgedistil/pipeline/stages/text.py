"""unlabelled: more in-domain text for the teacher to label. text: plain text for general distillation. Tokenised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgedistil.errors import UsageError
from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.data import data_stage
from edgedistil.recipe.schema import Distil
from edgedistil.tasks import get_task

VERSION = 1
# Questions are made of the text, and their answers are known where it knows them.
_ASKING_VERSION = 3
_BYTES_A_SECOND = 4e5
_KEYS = {
    "unlabelled": "distil.unlabelled",
    "unlabelled-recover": "prune.recover.unlabelled",
    "text": "general.text",
}


def unlabelled_inputs(build: Build, settings: Distil) -> dict[str, Stage]:
    """Returns the stage that writes the unlabelled rows' `tokens/`, as an input of a training; nothing without text.

    Args:
        build: The recipe.
        settings: The training's section; its own text, or else that of `distil`.
    """
    text = build.text_of(settings)
    if text is None:
        return {}
    parameters = {
        "kind": get_task(build.recipe.task).kind,
        "column": text.column,
        "limit": text.limit,
        "max_length": build.recipe.max_length,
        "pack": False,
        **({"pair": text.pair} if text.pair else {}),
    }
    name = "unlabelled" if text == build.text_of(build.recipe.distil) else "unlabelled-recover"
    return {"unlabelled": _stage(build, name, text.path, parameters, {"data": data_stage(build)})}


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


def _stage(
    build: Build, name: str, named: str, parameters: dict[str, Any], inputs: dict[str, Stage] | None = None
) -> Stage:
    path = _found(build.workspace.resolve(named), name)

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.data.judged import Judged
        from edgedistil.data.unlabelled import load_unlabelled

        judged = Judged.load(context.inputs["data"], parameters["kind"]) if "data" in context.inputs else Judged()
        options = {key: value for key, value in parameters.items() if key != "max_length"}
        rows = load_unlabelled(
            path,
            build.teacher.folder,
            context.folder / "tokens",
            parameters["max_length"],
            judged=judged,
            progress=context.progress,
            **options,
        )
        if judged.repeated:
            context.progress.say(f"  note: {judged.repeated} texts repeat a dev or test text and were left out")
        return {"rows": len(rows), "tokens": int(rows.offsets[-1]), "repeated": judged.repeated}

    return Stage(
        name=name,
        version=_ASKING_VERSION if parameters["kind"] == "span" else VERSION,
        parameters=parameters,
        inputs=inputs or {},
        work=work,
        fingerprints={"text": build.hash_of(path), "tokeniser": build.tokeniser},
        effort=Effort(seconds=path.stat().st_size / _BYTES_A_SECOND),
    )


def _found(path: Path, name: str) -> Path:
    if not path.is_file():
        raise UsageError("no such file", where=str(path), cure=f"correct the recipe's '{_KEYS[name]}'")
    return path
