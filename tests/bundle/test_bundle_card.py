"""The card's front matter is what the Hub reads, and its code does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_bundle
import yaml
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer

from edgedistil.bundle import FORMATS, Accuracy, Bundle, FileFacts, Parity, StageRecord, write_bundle
from edgedistil.bundle.usage import _QUESTION, _tags


def front_matter(bundle: Bundle) -> dict[str, Any]:
    text = (bundle.folder / "README.md").read_text()
    _, head, _ = text.split("---\n", 2)
    return yaml.safe_load(head)


def snippets(bundle: Bundle) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (bundle.folder / "README.md").read_text(), re.DOTALL)


def test_the_front_matter_is_the_hubs(bundle: Bundle) -> None:
    values = front_matter(bundle)
    assert values["license"] == "apache-2.0"
    assert values["base_model"] == "somebody/tiny-bert"
    assert values["library_name"] == "onnx"
    assert values["pipeline_tag"] == "text-classification"
    assert {"edgedistil", "onnx", "quantized"} <= set(values["tags"])
    (result,) = values["model-index"][0]["results"]
    assert result["task"] == {"type": "text-classification"}
    assert result["dataset"] == {"name": "made up", "type": "made-up", "split": "dev"}
    assert result["metrics"] == [{"type": "accuracy", "value": 0.8, "name": "accuracy, ONNX fp32"}]


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    made = tiny_bundle.make_bundle(tmp_path, licence=None, base_model="/home/me/teacher", facts={})
    assert not {"license", "base_model", "metrics", "model-index", "library_name"} & set(front_matter(made))
    assert "licence of the weights is not recorded" in (made.folder / "README.md").read_text()


@pytest.mark.parametrize(
    "name", ["a: b", "x\n---\nlicense: mit", "|<script>alert(1)</script>|", "{{ 999 * 997 }}", "é ✓"]
)
def test_names_cannot_break_out(tmp_path: Path, name: str) -> None:
    made = tiny_bundle.make_bundle(tmp_path, name=name, labels=[name, "other"])
    values = front_matter(made)
    assert values["license"] == "apache-2.0"
    assert values["model-index"][0]["name"] == " ".join(name.split())
    text = (made.folder / "README.md").read_text()
    assert "<script>" not in text.split("```")[0].split("---\n", 2)[2]
    assert "996003" not in text


def test_the_table_has_a_row_a_file(bundle: Bundle) -> None:
    text = (bundle.folder / "README.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `onnx/model.onnx`"))
    assert [cell.strip() for cell in row.strip("|").split("|")][1:] == [
        "ONNX fp32",
        f"{bundle.path('onnx-fp32').stat().st_size / 1000:.1f} kB",
        "80.0 % (37.6 to 96.4)",
        "2e-07 (allowed 0.0001)",
        "100.0 % of 5",
    ]


@pytest.mark.parametrize("module", ["import onnxruntime", "from ai_edge_litert"])
def test_the_code_runs_as_printed(bundle: Bundle, tmp_path: Path, module: str) -> None:
    if "litert" in module:
        bundle = tiny_bundle.make_litert_bundle(tmp_path / "litert")
    (code,) = [text for text in snippets(bundle) if module in text]
    code = code.replace("FOLDER", str(bundle.folder)).replace("A text to classify.", "a very good film")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "positive"


def test_every_snippet_compiles(bundle: Bundle) -> None:
    found = snippets(bundle)
    assert len(found) == 2
    for text in found:
        compile(text, "card", "exec")


TASKS = {
    "pair-classification": (["no", "yes"], "text-classification", '"text_pair": second', '"A text." --pair "Another'),
    "regression": (["score"], "text-classification", 'function_to_apply="none"', '"A text to classify."'),
    "token-classification": (["O", "I-toxic"], "token-classification", "ForTokenClassification", '"A text to look'),
    "question-answering": (["start", "end"], "question-answering", "ForQuestionAnswering", "--question"),
}


@pytest.mark.parametrize("task", TASKS)
def test_each_task_has_its_own_code(tmp_path: Path, task: str) -> None:
    labels, pipeline, code, command = TASKS[task]
    score = Accuracy(value=0.6, low=0.5, high=0.7, examples=5, metric="char F1", others={"EM": 0.25})
    sources = tiny_bundle.make_sources(tmp_path / "sources") | {
        "model_fp32.tflite": Path(tiny_bundle.__file__).with_name("tiny.tflite")
    }
    facts = {
        "onnx/model.onnx": FileFacts("onnx-fp32", accuracy=score),
        "model_fp32.tflite": FileFacts("tflite-fp32"),
    }
    made = write_bundle(tmp_path / "bundle", sources, tiny_bundle.make_details(task=task, labels=labels, facts=facts))
    values = front_matter(made)
    assert values["pipeline_tag"] == pipeline
    assert values["metrics"] == ["f1"]
    text = (made.folder / "README.md").read_text()
    assert "| char F1 (95 % interval) |" in text
    assert "60.0 (50.0 to 70.0); EM 25.0" in text
    assert "Char F1 is the file's own" in text
    assert code in text
    assert f"edgedistil predict FOLDER {command}" in text
    found = snippets(made)
    assert len(found) == 3
    for snippet in found:
        compile(snippet, "card", "exec")


def text_of(folder: Path, formats: list[str], stages: dict[str, dict[str, Any]], **changes: Any) -> str:
    """Returns the card of a bundle with some formats, all of them the same file, which came out of some stages."""
    sources = tiny_bundle.make_sources(folder / "sources")
    held = {name: source for name, source in sources.items() if not name.startswith("onnx/")}
    parity = Parity(max_abs=0.1, tolerance=1.0, examples=5, agreement=1.0)
    paths = {FORMATS[name].path: name for name in formats}
    facts = {path: FileFacts(name, parity) for path, name in paths.items()}
    lineage = [
        StageRecord(name=name, key="a" * 64, version=1, seconds=1.0, summary=told) for name, told in stages.items()
    ]
    details = tiny_bundle.make_details(facts=facts, lineage=lineage, **changes)
    made = write_bundle(folder / "bundle", held | dict.fromkeys(paths, sources["onnx/model.onnx"]), details)
    return (made.folder / "README.md").read_text()


def test_the_card_says_of_files_and_stages_only_what_is_so(tmp_path: Path) -> None:
    plain = text_of(tmp_path / "plain", ["tflite-fp32"], {"teacher": {}, "distil": {}})
    for words in ("pruned", "round", "fine-tuned", "best checkpoint", "[ort]", "quantized"):
        assert words not in plain
    assert "pip install 'edgedistil[litert]'" in plain
    family = {"teacher": {"steps": 5}, "distil": {"best_step": 3}, "prune-1.5x": {}, "prune-2x": {}}
    text = text_of(tmp_path / "family", ["onnx-int4", "tflite-int8-static", "pytorch"], family)
    assert "distilled from **somebody/tiny-bert**, fine-tuned for the task, pruned in whole attention heads" in text
    assert "int8 and int4 files round: a text near the boundary" in text
    assert "The dev split chose the best checkpoint" in text
    assert 'edgedistil.models.load_model("FOLDER/pytorch")' in text
    assert "- transformers\n" not in text, "which opens no unequal layers"
    assert "pip install 'edgedistil[ort]'" in text
    assert len(re.findall(r"```python\n", text)) == 3


def test_the_card_names_what_a_difference_is_from(tmp_path: Path) -> None:
    recipe = {"quantise": {"qat": {"epochs": 1}}}
    stages: dict[str, dict[str, Any]] = {"distil": {}, "quantise": {}}
    text = text_of(tmp_path / "trained", ["onnx-int8-static"], stages, recipe=recipe)
    assert "those of static files are from the model trained with rounding" in text
    text = text_of(tmp_path / "smoothed", ["onnx-int8-static"], stages)
    assert "Differences are of logits, on real text.\n" in text
    value = text_of(tmp_path / "value", ["onnx-int8"], stages, task="regression", labels=["score"])
    assert "| 0.1 (allowed 1) | - |" in value, "a value is no answer that may be the same"


def test_tags_and_answers_are_read_as_the_card_says() -> None:
    """The last lines of the cards' code, on outputs of which the answer is known."""
    text = "the very good film"
    said: list[str] = []
    tokeniser = Tokenizer(WordPiece({"the": 0, "very": 1, "good": 2, "film": 3, "which": 4}, unk_token="the"))
    tokeniser.pre_tokenizer = BertPreTokenizer()
    logits = np.array([[[1, 0], [0, 1], [0, 1], [1, 0], [9, 9], [9, 9]]])
    scope = {"encoding": tokeniser.encode(text), "text": text, "answer": {"logits": logits}, "np": np}
    scope["print"] = lambda *parts: said.append(" ".join(map(str, parts)))
    exec(_tags(["O", "I-x"]).decode, scope)
    assert said == ["4 8 I-x very", "9 13 I-x good"]
    # The question's own token has the highest score, and padding after the text a higher one.
    start, end = np.array([[9.0, 0, 3, 0, 2, 9]]), np.array([[9.0, 2, 0, 1, 0, 9]])
    scope |= {"encoding": tokeniser.encode("which", text), "context": text}
    scope["answer"] = {"start_logits": start, "end_logits": end}
    exec(_QUESTION.decode, scope)
    assert said[-1] == "very good"
