"""Token classification: spans of a text, each with a label: toxic passages, named entities."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding

from edgedistil.bench.runner.evaluation import NOT_SCORED, EvaluationSet
from edgedistil.bench.runner.scoring import Output
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.recipe.schema import Data
from edgedistil.tasks.answers import Answers
from edgedistil.tasks.base import (
    Column,
    Example,
    FloatArray,
    IntArray,
    Labelled,
    Place,
    Prediction,
    Read,
    Reference,
    need_answers,
    ratio,
    texts,
)
from edgedistil.tasks.spans import (
    Span,
    characters,
    has_begins,
    heads_by_gaps,
    read_tags,
    runs,
    tag_kind,
    tag_pieces,
    word_tags,
)

CHARACTERS = "char F1"
ENTITIES = "entity F1"


class TokenClassification:
    """Labelled spans, from a column of character offsets or from columns of tokens and BIO tags.

    Args:
        metric: The headline: `char F1` for spans of characters, `entity F1` for entities.
    """

    name = "token-classification"
    kind = "tags"
    windows = False

    def __init__(self, metric: str = CHARACTERS) -> None:
        self.metric = metric

    def columns(self, data: Data) -> list[Column]:
        """Returns the text and its spans where the recipe names `data.spans`; tokens and tags otherwise."""
        if data.spans:
            return [Column("text", data.text, "data.text"), Column("spans", data.spans, "data.spans")]
        return [Column("tokens", data.tokens, "data.tokens"), Column("tags", data.tags, "data.tags")]

    def choose_labels(self, data: Data, read: Read, where: str) -> list[str]:
        """Returns the tags: `O` and `I-` with the one label of spans, or `O` and `B-`, `I-` of each kind of entity.

        Raises:
            UsageError: When spans have several labels, or a tag is not BIO.
        """
        if data.spans:
            names = data.labels or ["span"]
            if len(names) != 1:
                raise UsageError(
                    f"data.labels names {len(names)} labels and data.spans marks spans of one",
                    where=where,
                    cure="name one label, such as [toxic], or use columns of tokens and tags",
                )
            return ["O", f"I-{names[0]}"]
        if data.labels:
            _check_tag_names(data.labels, where)
            return data.labels
        found = {tag for tags in read("tags") if isinstance(tags, list) for tag in map(str, tags)}
        kinds = {tag_kind(tag)[1] for tag in found if tag[:2] in ("B-", "I-")}
        if not kinds:
            cure = "give lists of BIO tags such as B-PER, I-PER, O"
            if any(tag.isdecimal() for tag in found):
                cure = "say in data.labels what the numbers stand for, in order, such as [O, B-PER, I-PER]"
            raise UsageError("no tag marks an entity", where=where, cure=cure)
        return ["O", *(f"{prefix}-{kind}" for kind in sorted(kinds) for prefix in "BI")]

    def examples(self, rows: Mapping[str, Sequence[Any]], labels: Sequence[str], place: Place) -> list[Example]:
        """Reads rows of text and spans, or of tokens and tags.

        Raises:
            UsageError: For an empty text, spans that cannot be read or lie outside it, tags that are not BIO or not in
                the set, or another number of tags than of tokens.
        """
        if "spans" in rows:
            found = texts(rows, "text", "text", place)
            label = tag_kind(labels[-1])[1]
            marked = [
                (text, _read_spans(spans, text, label, place(row)))
                for row, (text, spans) in enumerate(zip(found, rows["spans"], strict=True))
            ]
        else:
            marked = [
                _join(tokens, tags, labels, place(row))
                for row, (tokens, tags) in enumerate(zip(rows["tokens"], rows["tags"], strict=True))
            ]
        return [Example(text, None, spans, spans, float(len(spans))) for text, spans in marked]

    def check(self, values: FloatArray, labels: Sequence[str], where: str) -> None:
        """Checks that something is marked somewhere.

        Raises:
            UsageError: When no row has a span.
        """
        del labels
        if not np.any(values):
            raise UsageError(
                f"no span in {len(values)} rows", where=where, cure="a score on it would mean nothing: name other rows"
            )

    def strata(self, values: FloatArray) -> IntArray:
        """Returns rows with and without a span."""
        return (np.asarray(values) > 0).astype(np.int64)

    def guarded(self, example: Example) -> str:
        """Returns the example's id."""
        return example.name

    def label(self, example: Example, encoding: Encoding, labels: Sequence[str]) -> Labelled:
        """Returns the tag of every word piece: that of the span it overlaps."""
        starts, ends = offsets_of(encoding, 0)
        tags = tag_pieces(example.target, starts, ends, labels)
        return Labelled(
            [tag if start >= 0 else NOT_SCORED for tag, start in zip(tags, starts, strict=True)], starts, ends
        )

    def read(
        self, tags: Sequence[int], starts: Sequence[int], ends: Sequence[int], labels: Sequence[str], heads: Any = None
    ) -> list[Span]:
        """Returns the spans that a row's tags mark.

        Args:
            tags: Tag numbers, one a token.
            starts: Where each token begins in the text, -1 for a token outside it.
            ends: Where each token ends, exclusive.
            labels: Names of the tags.
            heads: For BIO tags, whether each token is its word's first; white space parts words where it is None.
        """
        kept = [index for index, start in enumerate(starts) if start >= 0]
        names = [labels[tags[index]] for index in kept]
        first, last = [int(starts[index]) for index in kept], [int(ends[index]) for index in kept]
        if has_begins(labels):
            names = word_tags(names, heads_by_gaps(first, last) if heads is None else [heads[index] for index in kept])
        return read_tags(names, first, last)

    def predictions(
        self, outputs: Sequence[Output], tokens: EvaluationSet, answers: Answers | None, labels: Sequence[str]
    ) -> dict[str, Prediction]:
        """Returns the spans that each row's tags mark."""
        del answers
        found = {}
        for index, tags in enumerate(outputs):
            where = tokens.slice(index)
            assert tokens.starts is not None and tokens.ends is not None  # noqa: S101, PT018 - the set has seen to it
            starts, ends = tokens.starts[where].tolist(), tokens.ends[where].tolist()
            found[str(tokens.ids[index])] = self.read(tags, starts, ends, labels)
        return found

    def references(self, tokens: EvaluationSet, answers: Answers | None, labels: Sequence[str]) -> dict[str, Reference]:
        """Returns the spans that people marked, those in the part of a text that was cut off included.

        Raises:
            UsageError: When the answers are missing.
        """
        del labels
        known = need_answers(answers)
        return {str(name): known[str(name)].reference for name in tokens.ids}

    def statistics(self, predictions: Sequence[Prediction], references: Sequence[Reference]) -> FloatArray:
        """Returns (F1 of its characters, 1, entities found, found wrongly, missed) an example.

        The first is that of SemEval-2021 task 5 (Pavlopoulos et al., 2021): of the sets of marked characters of one
        post, 1 where both are empty and 0 where one is.
        """
        rows = np.zeros((len(predictions), 5))
        for row, (predicted, right) in enumerate(zip(predictions, references, strict=True)):
            entities, wanted = ({tuple(span) for span in spans} for spans in (predicted, right))
            hits = len(entities & wanted)
            rows[row] = (
                _set_f1(characters(predicted), characters(right)),
                1,
                hits,
                len(entities) - hits,
                len(wanted) - hits,
            )
        return rows

    def metrics(self, sums: FloatArray) -> dict[str, FloatArray]:
        """Returns the mean of the posts' character F1, and the F1 of whole entities over all examples."""
        f1, count, hits, wrong, missed = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
        found = {CHARACTERS: ratio(f1, count), ENTITIES: ratio(2 * hits, 2 * hits + wrong + missed)}
        return {self.metric: found[self.metric], **found}


def offsets_of(encoding: Encoding, sequence: int) -> tuple[list[int], list[int]]:
    """Returns where each token of one of the texts begins and ends in it; -1 for all other tokens."""
    inside = [number == sequence for number in encoding.sequence_ids]
    starts = [place[0] if wanted else -1 for place, wanted in zip(encoding.offsets, inside, strict=True)]
    ends = [place[1] if wanted else -1 for place, wanted in zip(encoding.offsets, inside, strict=True)]
    return starts, ends


def _set_f1(predicted: set[tuple[int, str]], right: set[tuple[int, str]]) -> float:
    if not predicted or not right:
        return float(not predicted and not right)
    return 2 * len(predicted & right) / (len(predicted) + len(right))


def _read_spans(value: Any, text: str, label: str, where: str) -> list[Span]:
    try:
        offsets = json.loads(value) if isinstance(value, str) else value
        if not isinstance(offsets, list) or any(type(offset) is not int for offset in offsets):
            raise ValueError
    except ValueError:
        raise UsageError(
            f"the spans {value!r:.60} are no list of character offsets",
            where=where,
            cure="give them as in [8, 9, 10], and [] for none",
        ) from None
    outside = [offset for offset in offsets if not 0 <= offset < len(text)]
    if outside:
        raise UsageError(
            f"a span holds character {outside[0]}, and the text has {len(text)} characters, from 0",
            where=where,
            cure="correct the row's spans or remove it",
        )
    return runs(offsets, label)


def _check_tag_names(labels: Sequence[str], where: str) -> None:
    wrong = [label for label in labels if label != "O" and tag_kind(label)[0:2] == ("I", label)]
    missing = [
        f"{prefix}-{kind}"
        for kind in sorted({tag_kind(label)[1] for label in labels} - {""})
        for prefix in "BI"
        if f"{prefix}-{kind}" not in labels
    ]
    if wrong or missing or "O" not in labels:
        told = f"'{wrong[0]}' is not BIO" if wrong else f"{', '.join(missing) or 'O'} is missing"
        raise UsageError(
            f"data.labels are no set of tags: {told}", where=where, cure="give, for example, [O, B-PER, I-PER]"
        )


def _join(tokens: Any, tags: Any, labels: Sequence[str], where: str) -> tuple[str, list[Span]]:
    """Returns a row's tokens joined by spaces, and the spans that its tags mark."""
    for name, value in (("tokens", tokens), ("tags", tags)):
        if not isinstance(value, list):
            raise UsageError(
                f"its {name} are no list", where=where, cure='give rows such as {"tokens": [], "tags": []}'
            )
    if len(tokens) != len(tags):
        raise UsageError(
            f"{len(tokens)} tokens and {len(tags)} tags",
            where=where,
            cure="give every token one tag, or remove the row",
        )
    words = ["" if token is None else str(token) for token in tokens]
    if not words or not all(word.strip() for word in words):
        raise UsageError("a token is empty or there is none", where=where, cure="fill the row or remove it")
    names = [_tag_name(tag, labels, where) for tag in tags]
    starts = [0]
    for word in words[:-1]:
        starts.append(starts[-1] + len(word) + 1)
    ends = [start + len(word) for start, word in zip(starts, words, strict=True)]
    return " ".join(words), read_tags(names, starts, ends)


def _tag_name(tag: Any, labels: Sequence[str], where: str) -> str:
    name = labels[tag] if isinstance(tag, int) and 0 <= tag < len(labels) else str(tag)
    if name in labels:
        return name
    if isinstance(tag, str) and name != "O" and tag_kind(name) == ("I", name):
        raise UsageError(f"tag '{name}' is not BIO", where=where, cure="give tags such as B-PER, I-PER, O")
    raise UsageError(
        f"tag '{name}' is not one of the tags ({', '.join(labels[:8])})",
        where=where,
        cure=did_you_mean(name, labels) if isinstance(tag, str) else f"their numbers are 0 to {len(labels) - 1}",
    )
