from __future__ import annotations

from pathlib import Path

import pytest

from edgedistil.errors import UsageError
from edgedistil.tasks.answers import Answer, Answers
from edgedistil.tasks.base import need_answers


def test_answers_are_saved_and_loaded_whatever_their_script(tmp_path: Path):
    answers = Answers(
        [("a", Answer("né\u2028 😀\n", ["né"])), ("b", Answer("x", [[0, 1, "toxic"]])), ("a", Answer("y", []))]
    )
    answers.save(tmp_path / "answers.jsonl")
    assert dict(Answers.load(tmp_path / "answers.jsonl")) == dict(answers)
    assert answers["a"].reference == ["né"], "of two with one id the first counts"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            '{"id": "a", "text": "b", "reference": []}\n{"id": ',
            "a.jsonl: line 2 is no answer (JSONDecodeError: Expecting",
        ),
        ('{"id": "a", "text": "b"}\n', "a.jsonl: line 1 is no answer (KeyError: 'reference'); the file is damaged"),
        ("[]\n", "a.jsonl: line 1 is no answer (TypeError: "),
        (None, "a.jsonl: cannot read the answers (No such file or directory)"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, content: str | None, line: str):
    if content is not None:
        (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(UsageError) as caught:
        Answers.load(tmp_path / "a.jsonl")
    assert caught.value.line().replace(f"{tmp_path}/", "").startswith(line)


def test_missing_answers_are_one_line():
    with pytest.raises(UsageError, match="the evaluation set comes without its answers; export the bundle again"):
        need_answers(None)
