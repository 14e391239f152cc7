"""The data stage: read the splits, check every row, set a dev split aside, tokenise, write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from edgedistil.data.sources.base import Rows
from edgedistil.data.tokens import TokenWriter, load_tokeniser, open_tokens
from edgedistil.errors import UsageError
from edgedistil.hashing import example_id
from edgedistil.progress import Progress, SilentProgress
from edgedistil.recipe.schema import Data
from edgedistil.tasks import Task

_BATCH = 2048


@dataclass(frozen=True)
class PreparedData:
    """What the data stage found, kept beside the tokens.

    Attributes:
        labels: Label names, in the order of their numbers.
        counts: Rows a split.
        cut: Rows a split that were longer than max_length and were cut.
        mean_tokens: Mean length of a training row in tokens, special ones included.
        leaked: Dev and test texts that also stand in the training split (they are dropped from training).
        warnings: What a person should know before they believe a result.
    """

    labels: list[str]
    counts: dict[str, int]
    cut: dict[str, int]
    mean_tokens: float
    leaked: int = 0
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> PreparedData:
        """Reads the summary of a finished data stage."""
        return cls(**json.loads((folder / "data.json").read_text(encoding="utf-8")))


@dataclass(frozen=True)
class _Split:
    texts: Sequence[str]
    labels: np.ndarray
    ids: np.ndarray


def prepare_data(
    rows: dict[str, Rows],
    data: Data,
    tokeniser_folder: Path,
    folder: Path,
    *,
    task: Task,
    max_length: int,
    seed: int,
    progress: Progress | None = None,
) -> PreparedData:
    """Writes `train/`, `dev/`, `test/` (where there is one) and `data.json`.

    Args:
        rows: Splits as a source read them.
        data: The recipe's section.
        tokeniser_folder: Folder with the teacher's `tokenizer.json`.
        folder: Where to write.
        task: How labels are read and checked.
        max_length: Longest row in tokens.
        seed: Seed of the dev split and of `train_limit`.
        progress: Where the bar is shown.

    Returns:
        The summary that is also in `data.json`.

    Raises:
        UsageError: For the first row with an empty text or a label outside the set, a split of one class, or a
            dev split that is named but empty.
    """
    labels = data.labels or task.find_labels(_strings(rows["train"], "label"), rows["train"].where)
    splits = {name: _check(split, labels, task) for name, split in rows.items()}
    train, leaked = _without(splits["train"], [splits[name] for name in splits if name != "train"])
    if "dev" not in splits:
        train, splits["dev"] = _set_aside(train, data.dev_share, seed)
    if data.train_limit and data.train_limit < len(train.texts):
        chosen = np.random.default_rng(seed).permutation(len(train.texts))[: data.train_limit]
        train = _take(train, np.sort(chosen))
    splits["train"] = train
    for name, split in splits.items():
        task.check(split.labels.tolist(), labels, rows[name].where if name in rows else f"the {name} split")

    cut = _tokenise(splits, load_tokeniser(tokeniser_folder, max_length), folder, progress or SilentProgress())
    return _summarise(folder, labels, splits, cut, leaked)


def _tokenise(splits: dict[str, _Split], tokeniser: Tokenizer, folder: Path, progress: Progress) -> dict[str, int]:
    """Writes every split's tokens; returns how many rows of each were cut."""
    cut: dict[str, int] = {}
    with progress.bar("tokenising", sum(len(split.texts) for split in splits.values())) as bar:
        for name, split in splits.items():
            with TokenWriter(folder / name) as writer:
                for start in range(0, len(split.texts), _BATCH):
                    part = slice(start, start + _BATCH)
                    encodings = tokeniser.encode_batch([str(text) for text in split.texts[part]])
                    writer.write([encoding.ids for encoding in encodings], split.labels[part], split.ids[part])
                    cut[name] = cut.get(name, 0) + sum(bool(encoding.overflowing) for encoding in encodings)
                    bar.advance(len(encodings))
    return cut


def _summarise(
    folder: Path, labels: list[str], splits: dict[str, _Split], cut: dict[str, int], leaked: int
) -> PreparedData:
    train = open_tokens(folder / "train")
    warnings = []
    if leaked:
        warnings.append(f"{leaked} training rows repeat a dev or test text and were left out of training")
    if len(splits["dev"].texts) < 200:
        warnings.append(f"only {len(splits['dev'].texts)} dev rows: accuracy intervals will be wide")
    summary = PreparedData(
        labels=list(labels),
        counts={name: len(split.texts) for name, split in sorted(splits.items())},
        cut=cut,
        mean_tokens=round(len(train.input_ids) / max(1, len(train)), 2),
        leaked=leaked,
        warnings=warnings,
    )
    (folder / "data.json").write_text(json.dumps(asdict(summary), indent=1), encoding="utf-8")
    return summary


def _strings(rows: Rows, column: str) -> list[str]:
    return ["" if value is None else str(value) for value in rows.table[column]]


def _check(rows: Rows, labels: Sequence[str], task: Task) -> _Split:
    texts = _strings(rows, "text")
    if not texts:
        raise UsageError("the split has no rows", where=rows.where, cure="name a file with rows")
    for row, text in enumerate(texts):
        if not text.strip():
            raise UsageError(
                "the text is empty",
                where=f"{rows.where}:{row + rows.first_row}",
                cure="fill the row or remove it",
            )
    encoded = task.encode(_strings(rows, "label"), labels, rows.where, rows.first_row)
    ids = np.array([example_id(text) for text in texts], dtype="<U16")
    return _Split(texts, np.array(encoded, dtype=np.int64), ids)


def _take(split: _Split, indices: np.ndarray) -> _Split:
    return _Split([split.texts[index] for index in indices], split.labels[indices], split.ids[indices])


def _without(train: _Split, others: Sequence[_Split]) -> tuple[_Split, int]:
    """Returns the training rows whose text stands in no other split: a judged text is never trained on."""
    if not others:
        return train, 0
    judged = np.concatenate([split.ids for split in others])
    keep = np.flatnonzero(~np.isin(train.ids, judged))
    leaked = len(train.texts) - len(keep)
    return (_take(train, keep), leaked) if leaked else (train, 0)


def _set_aside(train: _Split, share: float, seed: int) -> tuple[_Split, _Split]:
    """Splits off a stratified dev set; a repeated text stays on one side."""
    dev_ids: list[str] = []
    generator = np.random.default_rng(seed)
    for label in np.unique(train.labels):
        unique = np.unique(train.ids[train.labels == label])
        dev_ids.extend(generator.permutation(unique)[: max(1, round(share * len(unique)))])
    is_dev = np.isin(train.ids, dev_ids)
    return _take(train, np.flatnonzero(~is_dev)), _take(train, np.flatnonzero(is_dev))
