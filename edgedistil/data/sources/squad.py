"""Questions, contexts and answers in the JSON layout of SQuAD v1.1: articles, paragraphs, questions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistil.data.sources.arrow import arrow_table
from edgedistil.data.sources.text_files import is_whole, read_json
from edgedistil.errors import UsageError
from edgedistil.hashing import hash_file
from edgedistil.tasks.question_answering import answer_start

if TYPE_CHECKING:
    import datasets

_RULE = 1
_OPENING = re.compile(r'^\ufeff?\s*\{\s*"(data"\s*:\s*\[|version"\s*:)')


def is_squad(path: Path) -> bool:
    """Tells by its first characters whether a JSON file has this layout, rather than an object a line."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        return bool(_OPENING.match(stream.read(200)))


def read_squad(path: Path, cache: Path) -> datasets.Dataset:
    """Returns a table with the columns id, title, context, question and answers, as on the Hub.

    Raises:
        UsageError: When the file is not valid JSON or of another layout.
    """
    import pyarrow as pa  # type: ignore[import-untyped]

    answers = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int64()))])
    text = pa.string()
    schema = pa.schema([("id", text), ("title", text), ("context", text), ("question", text), ("answers", answers)])
    return arrow_table(_rows(path), schema, cache / f"squad-{_RULE}-{hash_file(path)}.arrow")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    articles = read_json(path, "the file is damaged or cut short: make or copy it again").get("data")
    if not isinstance(articles, list) or not articles:
        raise UsageError("has no list 'data' of articles", where=str(path), cure=_CURE)
    for number, article in enumerate(articles, start=1):
        try:
            yield from _questions(article, number)
        except (KeyError, TypeError, AttributeError) as error:
            named = f"no {error}" if isinstance(error, KeyError) else "another layout"
            raise UsageError(f"article {number} has {named} where SQuAD has one", where=str(path), cure=_CURE) from None
        except ValueError as error:
            raise UsageError(f"article {number}: {error}", where=str(path), cure="mend or remove it") from None


_CURE = "give SQuAD v1.1's layout: data, paragraphs, context and qas, question and answers; or an object a line"


def _questions(article: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    for paragraph in article["paragraphs"]:
        for question in paragraph["qas"]:
            given = question.get("answers") or []
            yield {
                "id": _text(str(question.get("id", ""))),
                "title": _text(str(article.get("title") or f"article {number}")),
                "context": _text(paragraph["context"]),
                "question": _text(question["question"]),
                "answers": {
                    "text": [_text(answer["text"]) for answer in given],
                    "answer_start": [answer_start(answer["answer_start"]) for answer in given],
                },
            }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.60} stands where a text belongs")
    if not is_whole(value):
        raise ValueError("a text has half of a surrogate pair")
    return value
