"""The other tasks, from their data to files that answer.

In this process: each would import torch, transformers and the exporters anew, a third of its time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_tasks import write_task_workspace

from edgedistil.cli.main import app
from edgedistil.quiet import quieten

ASKED = {
    "regression": ["this film was very brilliant 1", "--pair", "the plot was dull 2"],
    "token-classification": ["this film was very dull and awful"],
    "question-answering": [
        "--question",
        "what was great 1",
        "--context",
        "the plot was dull and of 3 the story was fine",
    ],
}


@pytest.fixture
def answer_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Returns what `edgedistil WORDS --json` prints in the test's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGEDISTIL_CACHE", raising=False)
    quieten()

    def ask(*words: str) -> dict[str, Any]:
        # Native code's chatter is kept from the descriptor, past which the test runner's own stream would write.
        with monkeypatch.context() as patch, open(1, "w", encoding="utf-8", closefd=False) as stream:
            patch.setattr(sys, "stdout", stream)
            app([*words, "--json"], standalone_mode=False)
        return json.loads(capfd.readouterr().out)

    return ask


@pytest.mark.parametrize("task", ASKED)
def test_a_task_goes_from_data_to_files_that_answer(
    task: str, tmp_path: Path, answer_to: Callable[..., dict[str, Any]]
):
    write_task_workspace(tmp_path, task)
    outcome = answer_to("export", "export/tiny.yaml")
    summary = {stage["name"]: stage["summary"] for stage in outcome["stages"]}
    assert summary["export"]["left_out"] == {}
    assert set(summary["export"]["parity"]) == {"onnx-int8", "tflite-int8"}
    if task != "regression":  # random weights learn nothing of two texts in so few steps
        metric = summary["recover"]["metric"]
        assert summary["recover"][f"test_{metric}"] > 0.8, metric

    formats = ("onnx-int8", "tflite-int8")
    _check_alike(task, *[answer_to("predict", "runs/tiny/bundle", *ASKED[task], "--format", name) for name in formats])


def test_distillation_and_recovery_follow_the_teacher_over_plain_text_of_their_own(
    tmp_path: Path, answer_to: Callable[..., dict[str, Any]]
):
    write_task_workspace(tmp_path, "token-classification")
    (tmp_path / "first.txt").write_text("this film was very dull\n" * 30, encoding="utf-8")
    (tmp_path / "second.txt").write_text("the plot was awful and of 3\n" * 50, encoding="utf-8")
    texts = ["--set", "distil.unlabelled=first.txt", "--set", "prune.recover.unlabelled=second.txt"]
    summary = {stage["name"]: stage["summary"] for stage in answer_to("prune", "export/tiny.yaml", *texts)["stages"]}
    rows = summary["targets"]["rows"], summary["targets-recover"]["rows"]
    assert rows == (400 + 30, 400 + 50)
    assert (summary["unlabelled"]["rows"], summary["unlabelled-recover"]["rows"]) == (30, 50)
    assert summary["recover"]["test_char_f1"] > 0.8


def _check_alike(task: str, first: dict, second: dict) -> None:
    """Two formats agree: on the very words, or within what rounding moves a score."""
    if task == "regression":
        assert first["value"] == pytest.approx(second["value"], abs=0.5)
    elif task == "token-classification":
        assert first["spans"][0]["text"] == second["spans"][0]["text"] == "dull"
    else:
        assert first["answer"] == second["answer"] == "story"
