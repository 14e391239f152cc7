"""Passages to ask about: `python benchmarks/xquad_text.py export/xquad.yaml REVIEWS.jsonl.gz OUT.jsonl`.

Rows for `distil.unlabelled`: what the recipe's training articles say, without their questions, and as many reviews as
asked for; with `--crossed` the training questions as well, each with the passages of its article that do not answer it.
Long texts are cut at sentences into passages of about a hundred words, none twice, in a fixed random order. Nothing of
the articles that dev and test are of is in it.
"""

from __future__ import annotations

import argparse
import json
import random
from itertools import islice
from pathlib import Path
from typing import Any

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


def training_articles(recipe_path: Path) -> list[list[dict[str, Any]]]:
    """Returns the paragraphs of each training article: of those that neither dev nor test asks about."""
    recipe, workspace = load_recipe(recipe_path), Workspace.of_recipe(recipe_path)
    data = run_plan(plan_recipe(recipe, workspace, until="teacher"), TerminalProgress()).finished["data"].folder
    held = {
        answer.text for split in ("dev", "test") for answer in Answers.load(data / split / "answers.jsonl").values()
    }
    train = recipe.examples.train
    assert train is not None  # noqa: S101 - its articles were split a line above
    articles = json.loads(workspace.resolve(train).read_text(encoding="utf-8"))["data"]
    found = [[part for part in article["paragraphs"] if part["context"] not in held] for article in articles]
    return [article for article in found if article]


def crossed(articles: list[list[dict[str, Any]]]) -> list[dict[str, str]]:
    """Returns each training question with the other passages of its article, which the teacher is to look through."""
    return [
        {"question": asked["question"], "context": other["context"]}
        for article in articles
        for paragraph in article
        for asked in paragraph["qas"]
        for other in article
        if other is not paragraph
    ]


def main() -> None:
    """Writes the passages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("reviews", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--crossed", action="store_true", help="ask training questions of their articles' other passages"
    )
    parser.add_argument("--reviews-limit", type=int, default=1200)
    ask = parser.parse_args()
    articles = training_articles(ask.recipe)
    contexts = [paragraph["context"] for article in articles for paragraph in article]
    texts = [*contexts, *islice(read_texts(ask.reviews, "text"), ask.reviews_limit)]
    kept = sorted({passage for text in texts for passage in passages(text)})
    rows = [{"context": passage} for passage in kept] + (crossed(articles) if ask.crossed else [])
    random.Random(0).shuffle(rows)  # noqa: S311 - an order, not a secret
    ask.out.parent.mkdir(parents=True, exist_ok=True)
    ask.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(kept)} passages of {len(texts)} texts, {len(rows) - len(kept)} questions about others -> {ask.out}")


if __name__ == "__main__":
    main()
