"""The data stage for every task: what lies on disk, splits that share nothing, windows over long contexts."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest
import tiny

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.data.prepare import PreparedData, prepare_data
from edgedistil.data.sources import Rows
from edgedistil.data.tokens import open_tokens
from edgedistil.errors import UsageError
from edgedistil.hashing import example_id
from edgedistil.recipe.schema import Data
from edgedistil.tasks import get_task, score
from edgedistil.tasks.answers import Answers


def prepare(
    teacher: Path, folder: Path, task: str, splits: dict[str, dict[str, list]], *, max_length: int = 24, **keys: object
) -> PreparedData:
    folder.mkdir(parents=True, exist_ok=True)
    rows = {
        name: Rows(datasets.Dataset.from_dict(columns), f"{name}.jsonl", 1, "group" if "group" in columns else None)
        for name, columns in splits.items()
    }
    data = Data(train="train.jsonl", **keys)
    return prepare_data(rows, data, teacher, folder, task=get_task(task), max_length=max_length, seed=3)


def perfect(tokens: EvaluationSet) -> list:
    """Returns the outputs of a model that knows the labels."""
    if tokens.kind in ("class", "value"):
        return tokens.labels.tolist()
    if tokens.kind == "tags":
        return [[max(0, tag) for tag in tokens.labels[tokens.slice(row)].tolist()] for row in range(len(tokens))]
    assert tokens.starts is not None
    first = [int(np.flatnonzero(tokens.starts[tokens.slice(row)] >= 0)[0]) for row in range(len(tokens))]
    return [
        [*label, 1.0] if any(label) else [at, at, 0.0] for label, at in zip(tokens.labels.tolist(), first, strict=True)
    ]


def score_of_perfect(folder: Path, task_name: str, labels: list[str]) -> float:
    task, tokens = get_task(task_name, labels), open_tokens(folder / "dev")
    path = folder / "dev" / "answers.jsonl"
    answers = Answers.load(path) if path.exists() else None
    assert (answers is not None) == (task.kind in ("tags", "span"))
    assert not (folder / "train" / "answers.jsonl").exists(), "what is trained on is not judged"
    references = task.references(tokens, answers, labels)
    predictions = task.predictions(perfect(tokens), tokens, answers, labels)
    assert set(predictions) == set(references) == set(tokens.ids.tolist())
    return score(task, [predictions[name] for name in references], list(references.values()))


def pairs(count: int, seed: int) -> dict[str, list]:
    rows = tiny.sentences(count, seed)
    return {"text": [text for _, text in rows], "pair": [text[::-1] for _, text in rows], "label": [n for n, _ in rows]}


def test_pairs_are_tokenised_together_and_their_id_is_of_both(teacher: Path, tmp_path: Path):
    columns = pairs(30, 1)
    summary = prepare(teacher, tmp_path, "pair-classification", {"train": columns, "dev": pairs(10, 2)})
    tokens = open_tokens(tmp_path / "train")
    assert tokens.ids[0] == example_id(columns["text"][0], columns["pair"][0])
    assert (tokens.tokens(0) == 3).sum() == 2
    assert score_of_perfect(tmp_path, "pair-classification", summary.labels) == 1.0


def test_a_judged_pair_is_dropped_and_one_that_shares_a_side_is_not(teacher: Path, tmp_path: Path):
    train = {"text": ["film", "film", "plot"], "pair": ["one", "two", "one"], "label": ["a", "b", "a"]}
    dev = {"text": ["film", "plot"], "pair": ["one", "two"], "label": ["a", "b"]}
    summary = prepare(teacher, tmp_path, "pair-classification", {"train": train, "dev": dev})
    assert (summary.leaked, summary.counts["train"]) == (1, 2)


def test_scores_stay_numbers_and_a_split_set_aside_has_scores_like_the_rest(teacher: Path, tmp_path: Path):
    columns = pairs(200, 1) | {"label": [f"{number / 40:.3f}" for number in range(200)]}
    summary = prepare(teacher, tmp_path, "regression", {"train": columns}, text_pair="pair", dev_share=0.2)
    tokens = open_tokens(tmp_path / "dev")
    assert tokens.labels.dtype == np.float32
    assert summary.counts == {"train": 160, "dev": 40}
    assert np.histogram(tokens.labels, 10, (0, 5))[0].tolist() == [4] * 10
    assert score_of_perfect(tmp_path, "regression", summary.labels) == pytest.approx(1.0)


def test_spans_become_tags_and_come_back(teacher: Path, tmp_path: Path):
    texts = [text for _, text in tiny.sentences(60, 1)]
    marked = [list(range(text.index(" ") + 1, text.index(" ", text.index(" ") + 1))) for text in texts]
    columns = {"text": texts, "spans": [str(offsets) if row % 3 else "[]" for row, offsets in enumerate(marked)]}
    summary = prepare(
        teacher, tmp_path, "token-classification", {"train": columns}, spans="spans", labels=["bad"], dev_share=0.3
    )
    assert summary.labels == ["O", "I-bad"]
    assert score_of_perfect(tmp_path, "token-classification", summary.labels) == 1.0
    tokens = open_tokens(tmp_path / "dev")
    assert tokens.labels.shape == tokens.input_ids.shape
    assert set(tokens.labels.tolist()) == {-100, 0, 1}


def test_entities_come_back(teacher: Path, tmp_path: Path):
    words = [text.split() for _, text in tiny.sentences(40, 1)]
    tags = [["B-X", "I-X", *("O" for _ in row[3:]), "B-Y"] for row in words]
    summary = prepare(
        teacher, tmp_path, "token-classification", {"train": {"tokens": words, "tags": tags}}, max_length=48
    )
    assert summary.labels == ["O", "B-X", "I-X", "B-Y", "I-Y"]
    assert score_of_perfect(tmp_path, "token-classification", summary.labels) == 1.0


def questions(contexts: int, words: int = 8) -> dict[str, list]:
    """Returns three questions on each of some contexts; the answers stand at the beginning, midway and at the end."""
    columns: dict[str, list] = {"question": [], "context": [], "answers": [], "group": []}
    for number in range(contexts):
        parts = [f"film {number} {word}" for word in range(words)]
        context = " plot ".join(parts)
        for chosen in (0, words // 2, words - 1):
            columns["question"].append(f"which {chosen}")
            columns["context"].append(context)
            columns["answers"].append({"text": [parts[chosen]], "answer_start": [context.index(parts[chosen])]})
            columns["group"].append(f"article {number // 2}")
    return columns


def test_a_long_context_becomes_windows_that_share_their_id(teacher: Path, tmp_path: Path):
    summary = prepare(teacher, tmp_path, "question-answering", {"train": questions(8)}, stride=6, dev_share=0.3)
    assert summary.labels == ["start", "end"]
    assert summary.counts["train"] > summary.examples["train"]
    tokens = open_tokens(tmp_path / "train")
    assert tokens.lengths.max() == 24
    assert len(set(tokens.ids.tolist())) == summary.examples["train"]
    answered = tokens.labels.any(axis=1)
    # A window without the answer is kept; every question has a window with it.
    assert 0 < answered.sum() < len(tokens)
    assert set(tokens.ids[answered].tolist()) == set(tokens.ids.tolist())
    assert score_of_perfect(tmp_path, "question-answering", summary.labels) == 1.0


def test_every_part_of_a_context_is_in_a_window(teacher: Path, tmp_path: Path):
    columns = questions(4)
    prepare(teacher, tmp_path, "question-answering", {"train": columns}, stride=4, dev_share=0.5)
    tokens, answers = open_tokens(tmp_path / "dev"), Answers.load(tmp_path / "dev" / "answers.jsonl")
    assert tokens.starts is not None
    assert tokens.ends is not None
    for name, answer in answers.items():
        seen: set[int] = set()
        for row in np.flatnonzero(tokens.ids == name):
            where = tokens.slice(row)
            for start, end in zip(tokens.starts[where], tokens.ends[where], strict=True):
                seen |= set(range(start, end))
        assert {place for place, letter in enumerate(answer.text) if letter != " "} == seen


@pytest.mark.parametrize("grouped", [True, False])
def test_no_context_and_no_group_stands_on_two_sides(teacher: Path, tmp_path: Path, grouped: bool):
    columns = questions(20)
    group = columns.pop("group")
    if grouped:
        columns["group"] = group
    keys = {"group": "title"} if grouped else {}
    summary = prepare(
        teacher, tmp_path, "question-answering", {"train": columns}, stride=4, dev_share=0.2, test_share=0.3, **keys
    )
    of = {example_id(q, c): (c, g) for q, c, g in zip(columns["question"], columns["context"], group, strict=True)}
    sides = {name: [of[one] for one in open_tokens(tmp_path / name).ids.tolist()] for name in ("train", "dev", "test")}
    for part in range(2 if grouped else 1):
        found = [{one[part] for one in side} for side in sides.values()]
        assert sum(map(len, found)) == len(set.union(*found))
    assert summary.leaked == 0
    assert summary.examples == {"train": 36, "dev": 6, "test": 18} if grouped else summary.examples["test"] == 18


def test_a_context_that_is_judged_is_not_trained_on(teacher: Path, tmp_path: Path):
    train, dev = questions(6), questions(2)
    for columns in (train, dev):
        del columns["group"]
    summary = prepare(teacher, tmp_path, "question-answering", {"train": train, "dev": dev}, stride=4)
    assert (summary.leaked, summary.examples["train"]) == (6, 12)


def test_a_text_in_two_groups_stays_on_one_side(teacher: Path, tmp_path: Path):
    rows = tiny.sentences(60, 1)
    columns = {
        "text": [text for _, text in rows[:30]] * 2,
        "label": [label for label, _ in rows[:30]] * 2,
        "group": list(range(60)),
    }
    summary = prepare(teacher, tmp_path, "text-classification", {"train": columns}, group="x", dev_share=0.3)
    assert not set(open_tokens(tmp_path / "train").ids.tolist()) & set(open_tokens(tmp_path / "dev").ids.tolist())
    assert summary.leaked > 0


def test_one_group_cannot_be_parted(teacher: Path, tmp_path: Path):
    columns = {"text": ["warm", "weak", "dull"], "label": ["a", "b", "b"], "group": ["x"] * 3}
    with pytest.raises(UsageError) as caught:
        prepare(teacher, tmp_path, "text-classification", {"train": columns}, group="title")
    assert caught.value.line() == (
        "the dev split: no row could be set aside; give more groups than one (title), or name data.dev"
    )


def test_a_question_without_room_for_its_context_is_one_line(teacher: Path, tmp_path: Path):
    columns = questions(4)
    columns["question"][7] = "film " * 30
    with pytest.raises(UsageError) as caught:
        prepare(teacher, tmp_path, "question-answering", {"train": columns}, dev_share=0.5)
    assert caught.value.line() == (
        "train.jsonl:8: the question takes 30 tokens and leaves no room for its context; "
        "shorten it, or raise max_length (24)"
    )


def test_a_tokeniser_that_does_not_part_two_texts_is_one_line(teacher: Path, tmp_path: Path):
    alone = (teacher / "tokenizer.json").read_text()
    import json

    plain = json.loads(alone)
    plain["post_processor"] = None
    (tmp_path / "tokenizer.json").write_text(json.dumps(plain))
    with pytest.raises(UsageError, match="the tokeniser puts no separator between two texts; name a teacher whose"):
        prepare(tmp_path, tmp_path / "out", "pair-classification", {"train": pairs(30, 1), "dev": pairs(10, 2)})


def test_keys_that_came_later_leave_a_finished_stages_key_as_it_was():
    before = {"source", "train", "dev", "test", "hub_id", "hub_config", "hub_revision", "text", "label", "labels"}
    assert set(Data(train="x").key()) == before | {"dev_share", "train_limit", "licence"}
    assert Data(train="x", stride=64, test_share=0.2).key()["stride"] == 64
