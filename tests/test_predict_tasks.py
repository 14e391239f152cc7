"""Predicting scores, spans and answers with real files whose answers can be told without them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tiny_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from edgedistil.bundle import Bundle, FileFacts, write_bundle
from edgedistil.cli import predict as command
from edgedistil.cli.main import app
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.predict import Predictor, predict
from edgedistil.predictions import AnswerPrediction, ScorePrediction, SpansPrediction

WORDS = tiny_bundle.WORDS
GOOD, BAD = WORDS.index("good"), WORDS.index("bad")


def make_file(path: Path, table: np.ndarray, outputs: list[str], *, pooled: bool = False) -> None:
    """Writes an ONNX file that looks a row of numbers up for each token; `pooled` adds them up over the text."""
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["rows"])]
    shape: list[Any] = ["batch", "sequence", table.shape[1]]
    if pooled:
        nodes.append(helper.make_node("ReduceSum", ["rows", "one"], outputs, keepdims=0))
        shape = ["batch", table.shape[1]]
    elif outputs == ["logits"]:
        nodes.append(helper.make_node("Identity", ["rows"], outputs))
    else:
        nodes.append(helper.make_node("Split", ["rows"], ["s", "e"], axis=2, num_outputs=2))
        nodes += [helper.make_node("Squeeze", [part, "two"], [name]) for part, name in zip("se", outputs, strict=True)]
        shape = shape[:2]
    constants = {"table": table.astype(np.float32), "one": np.array([1]), "two": np.array([2])}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def make_bundle(folder: Path, task: str, labels: list[str], table: np.ndarray, **data: Any) -> Bundle:
    """Writes a bundle of one ONNX file."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny_bundle.make_tokeniser(folder / "tokenizer.json")
    outputs = ["start_logits", "end_logits"] if task == "question-answering" else ["logits"]
    pooled = task in ("regression", "pair-classification")
    make_file(folder / "model.onnx", table, outputs, pooled=pooled)
    sources = {"tokenizer.json": folder / "tokenizer.json", "onnx/model.onnx": folder / "model.onnx"}
    details = tiny_bundle.make_details(
        task=task, labels=labels, recipe={"data": data}, facts={"onnx/model.onnx": FileFacts("onnx-fp32")}
    )
    return write_bundle(folder / "bundle", sources, details)


def table_of(columns: int, **marks: list[float]) -> np.ndarray:
    """Returns numbers a word, zero but for the words named."""
    table = np.zeros((len(WORDS), columns))
    for word, values in marks.items():
        table[WORDS.index(word)] = values
    return table


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    table = table_of(2, good=[0, 1], bad=[1, 0])
    return make_bundle(tmp_path_factory.mktemp("pairs"), "pair-classification", ["no", "yes"], table)


@pytest.fixture(scope="module")
def similarity(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    table = table_of(1, good=[1.25], bad=[-1])
    return make_bundle(tmp_path_factory.mktemp("similarity"), "regression", ["score"], table, text_pair="other")


@pytest.fixture(scope="module")
def toxic(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    table = table_of(2, bad=[0, 1])
    table[WORDS.index("[UNK]")] = [0, 1]
    return make_bundle(tmp_path_factory.mktemp("toxic"), "token-classification", ["O", "I-toxic"], table)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    table = table_of(2, good=[3, 0], film=[0, 2], bad=[2, 2.5])
    return make_bundle(tmp_path_factory.mktemp("reader"), "question-answering", ["start", "end"], table, stride=3)


def test_a_pair_is_one_input(pairs: Bundle) -> None:
    one, two = predict(pairs, [("a film", "good film"), ("bad", "very bad film")])
    assert (one.label, two.label) == ("yes", "no")  # type: ignore[union-attr]


def test_a_score_is_a_number(similarity: Bundle) -> None:
    assert predict(similarity, [("good film", "good bad")]) == [ScorePrediction(1.5)]


def test_spans_are_places_in_the_text_as_it_was_given(toxic: Bundle) -> None:
    text = "The  BAD\tbad film, bàd 😀 good"
    (found,) = predict(toxic, [text])
    assert isinstance(found, SpansPrediction)
    # Neighbouring pieces are one span; an accent is no other word, and an emoji is unknown, so of this toy's label.
    assert [(span.start, span.end) for span in found.spans] == [(5, 12), (17, 24)]
    assert [span.text for span in found.spans] == ["BAD\tbad", ", bàd 😀"]
    assert found.summary(text) == "5-12 toxic, 17-24 toxic\tThe  [BAD\tbad](toxic) film[, bàd 😀](toxic) good"
    (none,) = predict(toxic, ["good film"])
    assert none.summary("good film") == "-\tgood film"


PIECES = st.lists(
    st.sampled_from(["good", "bad", "film", "日本", "👩‍👩‍👧", "é", "\u00a0", "ß\u0301", "\n"]), min_size=1, max_size=6
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PIECES)
def test_offsets_point_at_the_original_text(toxic: Bundle, pieces: list[str]) -> None:
    text = "film " + " ".join(pieces)
    (found,) = _loaded(toxic).predict([text])
    assert isinstance(found, SpansPrediction)
    place = 0
    for span in found.spans:
        assert place <= span.start < span.end <= len(text)
        assert span.text == text[span.start : span.end]
        assert "good" not in span.text
        place = span.end
    assert ("bad" in pieces) == any("bad" in span.text for span in found.spans)


_PREDICTORS: dict[Path, Predictor] = {}


def _loaded(bundle: Bundle) -> Predictor:
    return _PREDICTORS.setdefault(bundle.folder, Predictor(bundle, threads=1))


def test_entities_end_where_the_tokenisers_words_end(tmp_path: Path) -> None:
    table = table_of(3, good=[0, 1, 0], film=[0, 0, 1])
    bundle = make_bundle(tmp_path, "token-classification", ["O", "B-X", "I-X"], table)
    (found,) = predict(bundle, ["a good film, bad good."])
    assert isinstance(found, SpansPrediction)
    assert [(span.text, span.label) for span in found.spans] == [("good film", "X"), ("good", "X")]


def test_an_answer_is_a_place_in_the_context(reader: Bundle) -> None:
    context = "The very GOOD  film"
    assert predict(reader, [("a film", context)]) == [AnswerPrediction("GOOD  film", 9, 19, 5.0)]


@pytest.mark.parametrize("before", [0, 3, 9, 14, 40])
def test_a_long_context_is_read_in_windows_and_the_best_answer_counts(reader: Bundle, before: int) -> None:
    context = "bad " + "the " * before + "good film" + " the" * 17
    (found,) = predict(reader, [("very good", context)])
    assert isinstance(found, AnswerPrediction)
    assert (found.answer, context[found.start : found.end]) == ("good film", "good film")


def test_the_question_is_no_part_of_the_answer(reader: Bundle) -> None:
    (found,) = predict(reader, [("good film", "a bad one")])
    assert found.answer == "bad"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("bundle", "given", "line"),
    [
        ("pairs", "good", "input 1 is one text, the bundle takes a text and a pair; give its pair as well"),
        ("similarity", "good", "input 1 is one text, the bundle takes a text and a pair"),
        ("reader", "good", "input 1 is one text, the bundle takes a question and a context"),
        ("toxic", ("good", "bad"), "input 1 is two texts, the bundle takes one; leave the second out"),
        ("pairs", ("good", " "), "text 1 is empty"),
        ("reader", ("good", "\u200b"), "input 1: the tokeniser finds no word in its context; give a context of words"),
        ("reader", ("good " * 20, "bad"), "input 1: the question takes 20 tokens and leaves no room for its context"),
    ],
)
def test_an_input_that_does_not_fit_is_one_line(
    bundle: str, given: Any, line: str, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(UsageError) as caught:
        predict(request.getfixturevalue(bundle), [given])
    assert line in caught.value.line()


def test_a_file_of_another_task_fails(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "token-classification", ["O", "B-X", "I-X"], table_of(2))
    with pytest.raises(EdgeDistilError, match="its answer is not 3 x 3 finite logits; export the bundle again"):
        predict(bundle, ["good"])


def typed(bundle: Bundle, *arguments: str, standard_input: str | None = None) -> str:
    result = CliRunner().invoke(app, ["predict", str(bundle.folder), *arguments], input=standard_input)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_takes_pairs(similarity: Bundle, pairs: Bundle) -> None:
    assert (
        typed(similarity, "good", "bad", "--pair", "film", "--pair", "bad") == "1.250\tgood\tfilm\n-2.000\tbad\tbad\n"
    )
    assert typed(similarity, standard_input="good\tbad film\n") == "0.250\tgood\tbad film\n"
    row = json.loads(typed(pairs, "good", "--pair", "film", "--json"))
    assert (row["text"], row["pair"], row["label"]) == ("good", "film", "yes")


def test_the_command_marks_spans(toxic: Bundle) -> None:
    assert typed(toxic, "a bad film") == "2-5 toxic\ta [bad](toxic) film\n"
    row = json.loads(typed(toxic, "a bad film", "--json"))
    assert row == {"text": "a bad film", "spans": [{"start": 2, "end": 5, "label": "toxic", "text": "bad"}]}


def test_the_command_answers_questions(reader: Bundle) -> None:
    assert typed(reader, "--question", "the film", "--context", "a good film") == "good film\t2-11\t5.00\tthe film\n"
    row = json.loads(typed(reader, "--json", standard_input="the film\ta good film\n"))
    assert row["question"] == "the film"
    assert (row["answer"], row["context"][row["start"] : row["end"]]) == ("good film", "good film")


def test_a_standard_input_that_is_closed_is_none(similarity: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(UsageError, match="no text given; for example: edgedistil predict"):
        command.predict(similarity.folder)


@pytest.mark.parametrize(
    ("arguments", "standard_input", "line"),
    [
        (["a", "b", "--pair", "c"], None, "2 texts and 1 --pair; give one --pair for each text"),
        (["a", "--pair", "c", "--context", "d"], None, "--pair and --context are given"),
        ([], "good\tbad\nalone\n", "standard input:2: the line has no tab; give two texts parted by a tab"),
    ],
)
def test_a_command_that_does_not_fit_is_one_line(
    similarity: Bundle, arguments: list[str], standard_input: str | None, line: str
) -> None:
    result = CliRunner().invoke(app, ["predict", str(similarity.folder), *arguments], input=standard_input)
    assert isinstance(result.exception, UsageError)
    assert result.exception.line().startswith(line)
