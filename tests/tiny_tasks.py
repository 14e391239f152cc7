"""Workspaces of the other tasks: tiny data that can be learnt, of the layouts that their real data have."""

from __future__ import annotations

import json
import random
from pathlib import Path

import yaml
from tiny import BAD, FILLER, GOOD, THINGS, sentences, tiny_recipe, write_teacher, write_tsv

SPLITS = {"train": (400, 1), "dev": (120, 2), "test": (80, 3)}


def write_pairs(folder: Path, *, scored: bool) -> dict:
    """Writes pairs of sentences: alike when both praise or both complain."""
    for name, (count, seed) in SPLITS.items():
        chooser = random.Random(seed)
        rows = []
        for first, second in zip(
            sentences(count, seed), chooser.sample(sentences(count, seed + 10), count), strict=True
        ):
            alike = first[0] == second[0]
            rows.append(
                (("5.0" if alike else "0.5") if scored else ("same" if alike else "other"), first[1], second[1])
            )
        write_tsv(folder / f"{name}.tsv", rows, header="label\tfirst\tsecond")
    return {**{name: f"data/{name}.tsv" for name in SPLITS}, "text": "first", "text_pair": "second"}


def write_spans(folder: Path) -> dict:
    """Writes sentences in which the words of blame are marked, character by character."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (count, seed) in SPLITS.items():
        lines = []
        for _, text in sentences(count, seed):
            marked, at = [], 0
            for word in text.split(" "):
                marked += range(at, at + len(word)) if word in BAD else []
                at += len(word) + 1
            lines.append(json.dumps({"text": text, "spans": str(marked)}))
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {**{name: f"data/{name}.jsonl" for name in SPLITS}, "spans": "spans", "labels": ["blame"]}


def write_questions(folder: Path) -> dict:
    """Writes articles in SQuAD's layout: which thing is praised?"""
    folder.mkdir(parents=True, exist_ok=True)
    chooser = random.Random(7)
    articles = []
    for number in range(60):
        thing, other = chooser.sample(THINGS, 2)
        words = [chooser.choice(FILLER) for _ in range(chooser.randint(2, 24))]
        context = (
            f"the {other} was {chooser.choice(BAD)} {' '.join(words)} {number} the {thing} was {chooser.choice(GOOD)}"
        )
        questions = [
            {
                "id": f"{number}-{part}",
                "question": f"what was {chooser.choice(GOOD)} {part}",
                "answers": [{"text": thing, "answer_start": context.rindex(thing)}],
            }
            for part in range(4)
        ]
        articles.append({"title": f"t{number}", "paragraphs": [{"context": context, "qas": questions}]})
    (folder / "squad.json").write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")
    shares = {"dev_share": 0.2, "test_share": 0.2}
    return {"train": "data/squad.json", "group": "title", "stride": 8, **shares}


WRITERS = {
    "pair-classification": lambda folder: write_pairs(folder, scored=False),
    "regression": lambda folder: write_pairs(folder, scored=True),
    "token-classification": write_spans,
    "question-answering": write_questions,
}


def write_task_workspace(root: Path, task: str) -> Path:
    """Writes a task's tiny workspace; returns its recipe's path."""
    write_teacher(root / "teacher")
    data = WRITERS[task](root / "data")
    recipe = tiny_recipe() | {"name": "tiny", "task": task, "data": {"source": "files", **data}}
    recipe["export"] = {"formats": ["onnx-int8", "tflite-int8"], "sequence_lengths": [32]}
    path = root / "export" / "tiny.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path
