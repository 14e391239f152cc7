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


def _check_alike(task: str, first: dict, second: dict) -> None:
    """Two formats agree: on the very words, or within what rounding moves a score."""
    if task == "regression":
        assert first["value"] == pytest.approx(second["value"], abs=0.5)
    elif task == "token-classification":
        assert first["spans"][0]["text"] == second["spans"][0]["text"] == "dull"
    else:
        assert first["answer"] == second["answer"] == "story"
