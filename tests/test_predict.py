"""Predicting with a real file: known answers, cut texts, and a line for every bad input."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import tiny_bundle

from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle import Bundle
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.predict import Predictor, choose_format, predict


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle.make_bundle(tmp_path_factory.mktemp("predict"))


def test_scores_are_the_softmax_of_what_the_words_add_up_to(bundle: Bundle) -> None:
    good, bad = predict(bundle.folder, ["a Good film", "bad, bad film"], format="onnx-fp32")
    assert (good.label, bad.label) == ("positive", "negative")
    assert good.scores["positive"] == pytest.approx(1 / (1 + math.exp(0.25 - 1.0)))
    assert bad.scores["negative"] == pytest.approx(1 / (1 + math.exp(-2.25)))
    assert sum(bad.scores.values()) == pytest.approx(1.0)


def test_a_text_is_cut_at_the_bundles_length(bundle: Bundle) -> None:
    words = tiny_bundle.MAX_LENGTH - 2
    (found,) = predict(bundle, ["film " * words + "good " * 40], format="onnx-fp32", threads=1)
    assert found.label == "negative"


def test_it_answers_as_the_evaluation_set_is_scored(bundle: Bundle) -> None:
    assert bundle.evaluation_path is not None
    examples = EvaluationSet.load(bundle.evaluation_path)
    runtime = runtimes.create("onnxruntime", str(bundle.path("onnx-int8")), 1)
    expected = []
    for index, length in enumerate(examples.lengths):
        expected.append(tiny_bundle.LABELS[int(runtime.run(*examples.batch([index], int(length))).argmax())])
    found = predict(bundle, [text for text, _ in tiny_bundle.TEXTS], format="onnx-int8")
    assert [made.label for made in found] == expected


def test_litert_answers_as_onnx_does_at_every_length(bundle: Bundle, tmp_path: Path) -> None:
    texts = [text for text, _ in tiny_bundle.TEXTS] + ["good " * count for count in (5, 6, 7, 14, 15, 40)]
    lite = tiny_bundle.make_litert_bundle(tmp_path)
    assert choose_format(lite) == "tflite-fp32"
    expected = predict(bundle, texts, format="onnx-fp32", threads=1)
    for found, wanted in zip(predict(lite, texts, threads=1), expected, strict=True):
        assert found.scores == pytest.approx(wanted.scores, abs=1e-6)


def test_int8_is_preferred_and_loaded_once(bundle: Bundle) -> None:
    predictor = Predictor(bundle)
    assert predictor.format == "onnx-int8"
    assert [predictor.predict(["good"])[0].label for _ in range(2)] == ["positive", "positive"]


def test_without_int8_it_takes_fp32(tmp_path: Path) -> None:
    details = tiny_bundle.make_details()
    facts = {name: fact for name, fact in details.facts.items() if fact.format == "onnx-fp32"}
    assert choose_format(tiny_bundle.make_bundle(tmp_path, facts=facts)) == "onnx-fp32"


def test_a_missing_runtime_names_the_command(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "_FACTORIES", {})
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "edgedistil.bench.runner.runtimes.onnxruntime", raising=False)
    with pytest.raises(UsageError, match=r"onnxruntime is not installed.*pip install 'edgedistil\[ort\]'"):
        predict(bundle, ["good"])


@pytest.mark.parametrize("text", ["", "  \t\n"])
def test_an_empty_text_is_refused(bundle: Bundle, text: str) -> None:
    with pytest.raises(UsageError, match="text 2 is empty; leave it out"):
        predict(bundle, ["good", text])


def test_a_text_that_is_no_utf8_is_refused(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="text 1 is not UTF-8"):
        predict(bundle, ["caf\udce9"])


def test_no_text_and_one_string_are_refused(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="no text given"):
        predict(bundle, [])
    with pytest.raises(UsageError, match="texts is one string; give a list"):
        predict(bundle, "good")


def test_a_format_the_bundle_has_not_is_refused(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="no file of format 'tflite-int8'"):
        predict(bundle, ["good"], format="tflite-int8")


def test_a_bundle_without_tokeniser_is_refused(tmp_path: Path) -> None:
    sources = tiny_bundle.make_sources(tmp_path / "sources")
    del sources["tokenizer.json"]
    made = tiny_bundle.write_bundle(tmp_path / "bundle", sources, tiny_bundle.make_details())
    with pytest.raises(UsageError, match=r"no tokenizer.json"):
        predict(made, ["good"])


def test_a_file_that_does_not_fit_the_labels_fails(tmp_path: Path) -> None:
    made = tiny_bundle.make_bundle(tmp_path, labels=["one", "two", "three"])
    with pytest.raises(EdgeDistilError, match="not 3 finite logits") as caught:
        predict(made, ["good"])
    assert caught.value.exit_code == 1


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    sources = tiny_bundle.make_sources(tmp_path / "sources")
    sources["onnx/model.onnx"].write_bytes(b"not a model")
    made = tiny_bundle.write_bundle(tmp_path / "bundle", sources, tiny_bundle.make_details())
    with pytest.raises(UsageError, match="onnxruntime cannot load it") as caught:
        predict(made, ["good"], format="onnx-fp32")
    assert "\n" not in caught.value.line()
