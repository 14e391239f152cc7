"""The data stage: read the splits, check every row, set splits aside, tokenise, write; batch by batch throughout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.data.sources.base import Rows
from edgedistil.data.splits import Split, limited, set_aside, without
from edgedistil.data.tokenise import SplitTokeniser, Tally
from edgedistil.data.tokens import open_tokens
from edgedistil.errors import UsageError
from edgedistil.hashing import example_id
from edgedistil.progress import Progress, SilentProgress
from edgedistil.recipe.schema import Data
from edgedistil.tasks import Task
from edgedistil.tasks.base import Example

_BATCH = 2048


@dataclass(frozen=True)
class PreparedData:
    """What the data stage found, kept beside the tokens.

    Attributes:
        labels: Names of the model's outputs, in the order of their numbers.
        counts: Rows a split; windows of one long context are rows of their own.
        cut: Rows a split that were longer than max_length and were cut.
        mean_tokens: Mean length of a training row in tokens, special ones included.
        leaked: Training rows that repeat a judged text (they are dropped from training).
        warnings: What a person should know before they believe a result.
        examples: Examples a split, where one may be several rows.
    """

    labels: list[str]
    counts: dict[str, int]
    cut: dict[str, int]
    mean_tokens: float
    leaked: int = 0
    warnings: list[str] = field(default_factory=list)
    examples: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> PreparedData:
        """Reads the summary of a finished data stage."""
        return cls(**json.loads((folder / "data.json").read_text(encoding="utf-8")))


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

    Beside the tokens of a judging split lies `answers.jsonl`, for tasks whose answer is a piece of the text.

    Args:
        rows: Splits as a source read them.
        data: The recipe's section.
        tokeniser_folder: Folder with the teacher's `tokenizer.json`.
        folder: Where to write.
        task: How rows are read, checked and labelled.
        max_length: Longest row in tokens.
        seed: Seed of the splits set aside and of `train_limit`.
        progress: Where the bar is shown.

    Returns:
        The summary that is also in `data.json`.

    Raises:
        UsageError: For the first row that cannot be used, by file and number, or a split on which a score would mean
            nothing.
    """
    progress = progress or SilentProgress()
    labels = _choose_labels(rows["train"], data, task)
    reader = _Reader(rows, task, labels)
    with progress.bar("reading", sum(len(split.table) for split in rows.values())) as bar:
        splits = {name: reader.index(name, bar.advance) for name in rows}
    splits, leaked = _divide(splits, data, task, seed)
    if not len(splits["train"]):
        raise UsageError(
            f"no training row is left ({leaked} repeat a dev or test text)",
            where=rows["train"].where,
            cure="name other rows to train on, or to judge on",
        )
    for name, split in splits.items():
        task.check(split.values, labels, rows[name].where if name in rows else f"the {name} split")
    notes = [note for split in rows.values() for note in split.notes] + _unlearnt(splits["train"], labels, task)
    tokeniser = SplitTokeniser(tokeniser_folder, task, labels, max_length, data.stride)
    tallies = {}
    with progress.bar("tokenising", sum(len(split) for split in splits.values())) as bar:
        for name, split in splits.items():
            tallies[name] = tokeniser.write(
                reader.chosen(split), folder / name, judged=name != "train", tick=bar.advance
            )
    return _summarise(folder, labels, tallies, leaked, notes)


def _choose_labels(train: Rows, data: Data, task: Task) -> list[str]:
    if train.labels and not data.labels and task.kind == "class":
        return train.labels
    return task.choose_labels(data, lambda name: column(train, name), train.where)


def _unlearnt(train: Split, labels: list[str], task: Task) -> list[str]:
    """Returns a note on the classes that no training row has."""
    if task.kind != "class":
        return []
    missing = np.setdiff1d(np.arange(len(labels)), train.values)
    names = ", ".join(labels[number] for number in missing[:8])
    return [f"no training row has {len(missing)} of the {len(labels)} labels ({names})"] if len(missing) else []


def column(rows: Rows, name: str) -> Iterator[Any]:
    """Yields a column's values, reading a batch at a time."""
    table = rows.table.select_columns([name])
    for batch in table.iter(_BATCH):
        yield from batch[name]


class _Reader:
    """Reads the rows of every split through the task, twice: once for what they are, once for the tokens."""

    def __init__(self, rows: dict[str, Rows], task: Task, labels: Sequence[str]) -> None:
        self._rows = rows
        self._task = task
        self._labels = labels

    def _examples(self, source: str, start: int) -> list[Example]:
        rows = self._rows[source]
        batch = rows.table[start : start + _BATCH]
        return self._task.examples(batch, self._labels, lambda row: rows.place(start + row))

    def index(self, source: str, tick: Any) -> Split:
        """Checks every row of a split; keeps a few numbers of each."""
        rows = self._rows[source]
        count = len(rows.table)
        if not count:
            raise UsageError("the split has no rows", where=rows.where, cure="name a file with rows")
        values, guards = np.empty(count), np.empty(count, dtype=np.uint64)
        groups = np.empty(count if rows.group else 0, dtype=np.uint64)
        for start in range(0, count, _BATCH):
            examples = self._examples(source, start)
            where = slice(start, start + len(examples))
            values[where] = [example.value for example in examples]
            guards[where] = [int(self._task.guarded(example), 16) for example in examples]
            if rows.group:
                groups[where] = [int(example_id(str(name)), 16) for name in rows.table[where][rows.group]]
            tick(len(examples))
        return Split(source, np.arange(count), values, guards, groups if rows.group else guards)

    def chosen(self, split: Split) -> Iterator[tuple[list[Example], list[str]]]:
        """Yields a split's examples with the names that errors give them, batch by batch."""
        rows = self._rows[split.source]
        for start in range(0, len(rows.table), _BATCH):
            low, high = np.searchsorted(split.rows, [start, start + _BATCH])
            numbers = split.rows[low:high].tolist()
            if numbers:
                examples = self._examples(split.source, start)
                yield [examples[number - start] for number in numbers], [rows.place(number) for number in numbers]


def _divide(splits: dict[str, Split], data: Data, task: Task, seed: int) -> tuple[dict[str, Split], int]:
    """Returns train, dev and perhaps test, none of them sharing a text with train, and how many rows that cost."""
    train, leaked = without(splits["train"], [splits[name] for name in splits if name != "train"])
    made = {}
    for name, share in (("test", data.test_share), ("dev", data.dev_share)):
        if name not in splits and share:
            train, made[name] = set_aside(train, share, seed, task, grouped=data.group is not None)
    if made and data.group is not None:
        # A text may stand in two groups.
        train, more = without(train, list(made.values()))
        leaked += more
    for name, split in made.items():
        if not len(split):
            wanted = "rows" if data.group is None else f"groups than one ({data.group})"
            raise UsageError(
                "no row could be set aside", where=f"the {name} split", cure=f"give more {wanted}, or name data.{name}"
            )
    return {**splits, **made, "train": limited(train, data.train_limit, seed)}, leaked


def _summarise(
    folder: Path, labels: list[str], tallies: dict[str, Tally], leaked: int, notes: list[str]
) -> PreparedData:
    train = open_tokens(folder / "train")
    warnings = list(notes)
    if leaked:
        warnings.append(f"{leaked} training rows repeat a dev or test text and were left out of training")
    for name in ("dev", "test"):
        repeated = _repeated(folder / name, tallies[name]) if name in tallies else 0
        if repeated:
            warnings.append(f"{repeated} {name} rows repeat another's text, which is judged once")
    if tallies["dev"].examples < 200:
        warnings.append(f"only {tallies['dev'].examples} dev rows: accuracy intervals will be wide")
    summary = PreparedData(
        labels=list(labels),
        counts={name: tally.rows for name, tally in sorted(tallies.items())},
        cut={name: tally.cut for name, tally in tallies.items()},
        mean_tokens=round(len(train.input_ids) / max(1, len(train)), 2),
        leaked=leaked,
        warnings=warnings,
        examples={name: tally.examples for name, tally in sorted(tallies.items())},
    )
    (folder / "data.json").write_text(json.dumps(asdict(summary), indent=1), encoding="utf-8")
    return summary


def _repeated(folder: Path, tally: Tally) -> int:
    return tally.examples - len(np.unique(open_tokens(folder).ids))
