"""vocabulary: the word pieces that stay, and the data split into them. trim: the final model with their embeddings."""

from __future__ import annotations

from typing import Any

from edgedistil.errors import UsageError
from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.pipeline.stages.data import data_stage
from edgedistil.pipeline.stages.text import unlabelled_inputs
from edgedistil.recipe.schema import Vocabulary

NAME = "vocabulary"
VERSION = 1
_DATA_SECONDS = 10.0
_TRIM_SECONDS = 5.0
_BYTES_A_SECOND = 2e6


def vocabulary_stage(build: Build, asked: Vocabulary) -> Stage:
    """Returns the stage that writes `tokenizer/`, `vocabulary.json`, and what the data stage does, in the new ids.

    Args:
        build: The recipe.
        asked: Its `prune.vocabulary`.

    Raises:
        UsageError: When there is no such file of general text.
    """
    fingerprints = {"tokeniser": build.tokeniser}
    seconds = _DATA_SECONDS
    if asked.text is not None:
        path = build.workspace.resolve(asked.text)
        if not path.is_file():
            raise UsageError("no such file", where=str(path), cure="correct the recipe's 'prune.vocabulary.text'")
        fingerprints["text"] = build.hash_of(path)
        seconds += path.stat().st_size / _BYTES_A_SECOND

    prune = build.recipe.prune
    last = prune.recover if prune and prune.recover else build.recipe.distil

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.pipeline.vocabulary import make_vocabulary

        return make_vocabulary(build, asked, context)

    return Stage(
        name=NAME,
        version=VERSION,
        parameters=asked.key({"text"}),
        inputs={
            "data": data_stage(build),
            **unlabelled_inputs(build, last),
        },
        work=work,
        fingerprints=fingerprints,
        effort=Effort(seconds=seconds),
    )


def trim_stage(build: Build, asked: Vocabulary, model: Stage) -> Stage:
    """Returns the stage that writes a model's `model/` with the embeddings of the pieces that stay.

    Args:
        build: The recipe.
        asked: Its `prune.vocabulary`.
        model: The stage whose model it is.
    """

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.models import load_model, save_model
        from edgedistil.pipeline.training import load_splits, scores
        from edgedistil.pipeline.vocabulary import read_trimmed
        from edgedistil.prune.vocabulary import trim_model

        whole = load_model(context.inputs["model"] / "model")
        made = trim_model(whole, read_trimmed(context.inputs[NAME]))
        save_model(made, context.folder / "model")
        counts = {"parameters": made.num_parameters(), "parameters_before": whole.num_parameters()}
        return counts | scores(made, load_splits(context.inputs[NAME], build.recipe.task), context.progress)

    return Stage(
        name="trim",
        version=VERSION,
        parameters={},
        inputs={"model": model, NAME: vocabulary_stage(build, asked)},
        work=work,
        effort=Effort(2 * build.forward(build.recipe.student.layers, build.tokens("dev")), seconds=_TRIM_SECONDS),
    )


def shipped_data_stage(build: Build) -> Stage:
    """Returns the stage that holds the data as the shipped tokeniser splits it."""
    prune = build.recipe.prune
    return vocabulary_stage(build, prune.vocabulary) if prune and prune.vocabulary else data_stage(build)
