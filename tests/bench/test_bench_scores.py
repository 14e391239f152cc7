"""From the runner's outputs to a score: every kind of task, its interval, and outputs of other examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench_files import make_measurement
from scipy import stats

from edgedistil.bench.measurement import Measurement, read_measurements, write_measurements
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.scores import Examples, Scorer
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.tasks.answers import Answer, Answers

TEXT = "you utter fool of a man"


def flat(rows: list[list[int]]) -> dict[str, np.ndarray]:
    return {"input_ids": np.concatenate(rows), "offsets": np.cumsum([0, *map(len, rows)])}


def values_set(path: Path, right: np.ndarray) -> Examples:
    names = [f"{index:016x}" for index in range(len(right))]
    EvaluationSet(**flat([[1, 2, 3]] * len(right)), labels=right, ids=names, kind="value").save(path / "dev.npz")
    return Examples(path / "dev.npz", "regression", ("score",))


def spans_set(path: Path) -> Examples:
    """Three posts of six words, the third word of the first two marked."""
    words = TEXT.split()
    starts = [TEXT.index(word) for word in words]
    ends = [start + len(word) for start, word in zip(starts, words, strict=True)]
    fool = [[starts[2], ends[2], "toxic"]]
    rows = [[101, 1, 2, 3, 4, 5, 6, 102]] * 3
    tags = np.tile([-100, 0, 0, 1, 0, 0, 0, -100], 3)
    EvaluationSet(
        **flat(rows),
        labels=tags,
        ids=["a", "b", "c"],
        kind="tags",
        starts=np.tile([-1, *starts, -1], 3),
        ends=np.tile([-1, *ends, -1], 3),
    ).save(path / "dev.npz")
    Answers([("a", Answer(TEXT, fool)), ("b", Answer(TEXT, fool)), ("c", Answer(TEXT, []))]).save(path / "dev.jsonl")
    return Examples(path / "dev.npz", "token-classification", ("O", "I-toxic"), path / "dev.jsonl")


def test_accuracy_keeps_its_score_interval(evaluation_file: Path, examples: EvaluationSet) -> None:
    labels = examples.labels.tolist()
    made = Scorer(Examples(evaluation_file)).score({"ids": examples.ids.tolist(), "outputs": labels}, "x")
    assert made.accuracy
    assert (made.accuracy.metric, made.accuracy.value, made.accuracy.high, made.accuracy.examples) == (
        ("accuracy", 1.0, 1.0, 40)
    )
    assert made.accuracy.low == pytest.approx(0.912, abs=0.001)
    assert made.predictions == made.labels == dict(zip(examples.ids.tolist(), labels, strict=True))


def test_a_regression_is_scored_by_its_correlation(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    right = generator.normal(size=200)
    said = right + generator.normal(scale=0.5, size=200)
    scorer = Scorer(values_set(tmp_path, right))
    made = scorer.score({"ids": scorer.tokens.ids.tolist(), "outputs": said.tolist()}, "x").accuracy
    assert made
    theirs = stats.pearsonr(right, said)
    assert made.metric == "pearson"
    assert made.value == pytest.approx(theirs.statistic, abs=1e-6)
    fisher = theirs.confidence_interval(0.95)
    assert (made.low, made.high) == pytest.approx((fisher.low, fisher.high), abs=0.03)


def test_spans_are_scored_by_character_f1_and_kept_as_json(tmp_path: Path) -> None:
    scorer = Scorer(spans_set(tmp_path))
    nothing, fool, more = [0] * 8, [0, 0, 0, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0]
    made = scorer.score({"ids": ["a", "b", "c"], "outputs": [fool, more, nothing]}, "x")
    start, end = TEXT.index("fool"), TEXT.index("fool") + 4
    assert made.predictions["a"] == made.labels["a"] == [[start, end, "toxic"]]
    assert made.predictions["c"] == []
    assert made.accuracy
    assert made.accuracy.metric == "char F1"
    # The second post: "utter fool" of 10 characters against "fool" of 4, all of which are in it.
    assert made.accuracy.value == pytest.approx((1 + 2 * 4 / (10 + 4) + 1) / 3)
    record = make_measurement(task=made.task, accuracy=made.accuracy, predictions=made.predictions, labels=made.labels)
    path = tmp_path / "measurements.jsonl"
    write_measurements(path, [record])
    (back,) = read_measurements(path)
    assert isinstance(back, Measurement)
    assert back == record
    assert back.predictions == made.predictions


def test_an_answer_to_other_examples_is_refused(tmp_path: Path) -> None:
    scorer = Scorer(spans_set(tmp_path))
    with pytest.raises(EdgeDistilError, match=r"model\.onnx: it answered other examples"):
        scorer.score({"ids": ["a", "b"], "outputs": [[0] * 8] * 2}, "model.onnx")


def test_examples_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown task 'regresion'; did you mean 'regression'"):
        Scorer(Examples(tmp_path / "dev.npz", "regresion"))
    spans = spans_set(tmp_path)
    with pytest.raises(UsageError, match="comes without its answers"):
        Scorer(Examples(spans.tokens, spans.task, spans.labels))
