"""The other tasks, from their data to files that answer: each as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import typed
from tiny_tasks import write_task_workspace

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


@pytest.mark.parametrize("task", ASKED)
def test_a_task_goes_from_data_to_files_that_answer(task: str, tmp_path: Path):
    write_task_workspace(tmp_path, task)
    done = typed(["export", "export/tiny.yaml", "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    summary = {stage["name"]: stage["summary"] for stage in outcome["stages"]}
    assert summary["export"]["left_out"] == {}
    assert set(summary["export"]["parity"]) == {"onnx-int8", "tflite-int8"}
    if task != "regression":  # random weights learn nothing of two texts in so few steps
        metric = summary["recover"]["metric"]
        assert summary["recover"][f"test_{metric}"] > 0.8, metric

    answers = {}
    for name in ("onnx-int8", "tflite-int8"):
        done = typed(["predict", "runs/tiny/bundle", *ASKED[task], "--format", name, "--json"], tmp_path)
        assert done.returncode == 0, done.stderr
        answers[name] = json.loads(done.stdout)
    _check_alike(task, *answers.values())


def test_distillation_and_recovery_follow_the_teacher_over_plain_text_of_their_own(tmp_path: Path):
    write_task_workspace(tmp_path, "token-classification")
    (tmp_path / "first.txt").write_text("this film was very dull\n" * 30, encoding="utf-8")
    (tmp_path / "second.txt").write_text("the plot was awful and of 3\n" * 50, encoding="utf-8")
    texts = ["--set", "distil.unlabelled=first.txt", "--set", "prune.recover.unlabelled=second.txt"]
    done = typed(["prune", "export/tiny.yaml", "--json", *texts], tmp_path)
    assert done.returncode == 0, done.stderr
    summary = {stage["name"]: stage["summary"] for stage in json.loads(done.stdout)["stages"]}
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
