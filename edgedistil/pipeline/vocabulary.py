"""A recipe's vocabulary: which word pieces stay, a tokeniser of them, and the data split by it once more."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.data.plain_text import read_texts
from edgedistil.data.prepare import prepare_data
from edgedistil.data.tokens import open_tokens
from edgedistil.pipeline.stage import StageContext
from edgedistil.pipeline.stages.context import Build
from edgedistil.prune.vocabulary import Trimmed, check_embeddings, choose_pieces, trim_tokeniser, unknown_share
from edgedistil.recipe.schema import Vocabulary
from edgedistil.tasks import get_task

_FILE = "vocabulary.json"
_FOLDER = "tokenizer"
_JUDGED = ("dev", "test")


def make_vocabulary(build: Build, asked: Vocabulary, context: StageContext) -> dict[str, Any]:
    """Chooses the pieces, writes the tokeniser, and splits the task's texts by it: their ids cannot be translated.

    A text that the judged splits alone hold may use a piece that goes; it is then split into smaller ones.

    Args:
        build: The recipe.
        asked: Its section.
        context: The stage's folders; `data` and, where there is one, `unlabelled` are its inputs.

    Returns:
        The summary: pieces, which text chose them, and for each judged split the share of [UNK] and how many tokens
        a text takes, against the whole vocabulary's.

    Raises:
        UsageError: When the tokeniser is of another kind than WordPiece, or has more pieces than the student will have
            embeddings, or a text cannot be read.
    """
    recipe, whole, folder = build.recipe, build.teacher.folder, context.folder
    data = context.inputs["data"]
    sets = [open_tokens(data / "train")]
    if "unlabelled" in context.inputs:
        sets.append(open_tokens(context.inputs["unlabelled"] / "tokens"))
    trimmed = choose_pieces(whole, _used(sets), _general(build, asked), general_at_least=asked.at_least)
    check_embeddings(trimmed, build.start_config["vocab_size"])
    trim_tokeniser(whole, trimmed, folder / _FOLDER)
    (folder / _FILE).write_text(json.dumps({"kept": trimmed.kept, "pieces": trimmed.pieces}), encoding="utf-8")
    prepared = prepare_data(
        build.source.read(),
        recipe.examples,
        folder / _FOLDER,
        folder,
        task=get_task(recipe.task),
        max_length=recipe.max_length,
        seed=recipe.seed,
        progress=context.progress,
    )
    source = "the training text" + (", the unlabelled text" if len(sets) > 1 else "")
    summary: dict[str, Any] = {
        "pieces": len(trimmed.kept),
        "pieces_before": trimmed.pieces,
        "chosen_by": f"{source} and {Path(asked.text).name}" if asked.text else source,
    }
    for split in _JUDGED:
        if split in prepared.counts:
            summary |= _change(split, (data, whole), (folder, folder / _FOLDER))
    return summary


def _used(sets: Iterable[EvaluationSet]) -> list[int]:
    counts = [np.flatnonzero(np.bincount(rows.input_ids)) for rows in sets]
    return [int(piece) for piece in np.unique(np.concatenate(counts))]


def _general(build: Build, asked: Vocabulary) -> Iterable[str]:
    if asked.text is None:
        return ()
    return islice(read_texts(build.workspace.resolve(asked.text), asked.column), asked.limit)


def _change(split: str, before: tuple[Path, Path], after: tuple[Path, Path]) -> dict[str, float]:
    """Returns what the smaller vocabulary makes of a split; each side is its data's folder and its tokeniser's."""
    old, new = (open_tokens(folder / split) for folder, _ in (before, after))
    return {
        f"{split}_unknown": unknown_share(after[1], new.input_ids),
        f"{split}_unknown_before": unknown_share(before[1], old.input_ids),
        f"{split}_tokens": len(new.input_ids) / max(len(old.input_ids), 1),
    }


def read_trimmed(folder: Path) -> Trimmed:
    """Returns which pieces a finished vocabulary stage has kept."""
    fields = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    return Trimmed(tuple(fields["kept"]), fields["pieces"])


def tokeniser_folder(build: Build, data: Path) -> Path:
    """Returns the folder of the tokeniser that a finished stage's data was split by.

    Args:
        build: The recipe.
        data: The folder of a data or vocabulary stage.
    """
    return data / _FOLDER if (data / _FOLDER).is_dir() else build.teacher.folder
