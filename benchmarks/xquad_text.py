"""Passages to ask about: `python benchmarks/xquad_text.py export/xquad.yaml REVIEWS.jsonl.gz OUT.jsonl`.

Text for `distil.unlabelled`: what the recipe's training articles say, without their questions, and as much again of
reviews as asked for. Long texts are cut at sentences into passages of about a hundred words, none twice, in a fixed
random order. Nothing of the articles that dev and test are of is in it.
"""

from __future__ import annotations

import argparse
import json
import random
from itertools import islice
from pathlib import Path

from edgedistil.data.asking import sentences_of
from edgedistil.data.plain_text import read_texts
from edgedistil.pipeline.plan import plan_recipe
from edgedistil.pipeline.run import run_plan
from edgedistil.progress import TerminalProgress
from edgedistil.recipe.load import Workspace, load_recipe
from edgedistil.tasks.answers import Answers

_WORDS = 100


def passages(text: str) -> list[str]:
    """Returns a text's sentences joined to passages of at least a hundred words; a short rest goes to the last."""
    made: list[list[str]] = [[]]
    for sentence in sentences_of(text):
        if sum(len(part.split()) for part in made[-1]) >= _WORDS:
            made.append([])
        made[-1].append(sentence.strip())
    if len(made) > 1 and sum(len(part.split()) for part in made[-1]) < _WORDS // 2:
        rest = made.pop()
        made[-1] += rest
    return [" ".join(part) for part in made]


def training_contexts(recipe_path: Path) -> list[str]:
    """Returns the contexts of the training split: those of the file that neither dev nor test asks about."""
    recipe, workspace = load_recipe(recipe_path), Workspace.of_recipe(recipe_path)
    data = run_plan(plan_recipe(recipe, workspace, until="teacher"), TerminalProgress()).finished["data"].folder
    held = {
        answer.text for split in ("dev", "test") for answer in Answers.load(data / split / "answers.jsonl").values()
    }
    train = recipe.examples.train
    assert train is not None  # noqa: S101 - its articles were split a line above
    articles = json.loads(workspace.resolve(train).read_text(encoding="utf-8"))["data"]
    found = [part["context"] for article in articles for part in article["paragraphs"]]
    return [context for context in found if context not in held]


def main() -> None:
    """Writes the passages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("reviews", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--reviews-limit", type=int, default=1200)
    ask = parser.parse_args()
    texts = [*training_contexts(ask.recipe), *islice(read_texts(ask.reviews, "text"), ask.reviews_limit)]
    kept = sorted({passage for text in texts for passage in passages(text)})
    random.Random(0).shuffle(kept)  # noqa: S311 - an order, not a secret
    ask.out.parent.mkdir(parents=True, exist_ok=True)
    ask.out.write_text("".join(json.dumps({"text": passage}) + "\n" for passage in kept), encoding="utf-8")
    print(f"{len(kept)} passages of {len(texts)} texts -> {ask.out}")


if __name__ == "__main__":
    main()
