"""A trimmed vocabulary in a run: fewer pieces in what ships, and the same answers to the text that chose them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from tiny import GOOD, sentences, write_workspace
from transformers import AutoTokenizer

from edgedistil.bundle.read import Bundle
from edgedistil.errors import UsageError
from edgedistil.pipeline.plan import Plan, plan_recipe
from edgedistil.pipeline.run import Outcome, run_plan
from edgedistil.progress import SilentProgress
from edgedistil.recipe.load import Workspace, load_recipe
from edgedistil.tokeniser import read_tokeniser

ROWS = 24
USUAL = (f"data.train_limit={ROWS}", "export.formats=[onnx-fp32]", "max_length=31")


class Heard(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_workspace(tmp_path_factory.mktemp("vocabulary"))


def plan(recipe: Path, *overrides: str, until: str | None = "export") -> Plan:
    return plan_recipe(load_recipe(recipe, [*USUAL, *overrides]), Workspace.of_recipe(recipe), until=until)


@pytest.fixture(scope="module")
def trimmed(recipe: Path) -> Outcome:
    return run_plan(plan(recipe, "prune={vocabulary: {}}", "name=trimmed"), SilentProgress())


def bundle_of(outcome: Outcome) -> Bundle:
    assert outcome.published is not None
    return outcome.published.bundle


def logits(bundle: Bundle, texts: list[str]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(bundle.path("onnx-fp32")))
    found = []
    for text in texts:
        ids = np.array([read_tokeniser(bundle.folder).encode(text).ids], dtype=np.int64)
        found.append(session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0])
    return found


def test_the_shipped_file_answers_kept_text_as_the_whole_one(recipe: Path, trimmed: Outcome) -> None:
    whole = bundle_of(run_plan(plan(recipe, "prune=null"), SilentProgress()))
    small, summary = bundle_of(trimmed), trimmed.finished["vocabulary"].summary
    assert small.manifest.model.vocabulary == summary["pieces"] < summary["pieces_before"]
    assert small.path("onnx-fp32").stat().st_size < whole.path("onnx-fp32").stat().st_size
    before, after = read_tokeniser(whole.folder), read_tokeniser(small.folder)
    texts = [text for _, text in sentences(600, 1)]
    kept = [text for text in texts if before.encode(text).tokens == after.encode(text).tokens]
    assert ROWS <= len(kept) < len(texts)
    np.testing.assert_allclose(logits(whole, kept[:40]), logits(small, kept[:40]), atol=1e-5)


def test_another_word_is_split_and_the_card_says_how_often_none_is_known(trimmed: Outcome) -> None:
    small = bundle_of(trimmed)
    tokeniser = AutoTokenizer.from_pretrained(small.folder)
    dropped = [word for word in GOOD if word not in tokeniser.get_vocab()]
    assert dropped
    for word in dropped:
        assert "".join(piece.removeprefix("##") for piece in tokeniser.tokenize(word)) == word
    assert tokeniser("the film").input_ids == read_tokeniser(small.folder).encode("the film").ids
    card = (small.folder / "README.md").read_text(encoding="utf-8")
    assert "0.00 % of the dev split's pieces are unknown ([UNK])" in card
    before = trimmed.finished["vocabulary"].summary["pieces_before"]
    assert f"of the teacher's {before} word pieces, those that the training text used" in card


def test_scores_and_evaluation_are_of_the_new_ids(trimmed: Outcome) -> None:
    small, done = bundle_of(trimmed), trimmed.finished
    assert small.evaluation_path is not None
    ids = np.load(small.evaluation_path)["input_ids"]
    assert int(ids.max()) < small.manifest.model.vocabulary
    assert done["vocabulary"].summary["dev_tokens"] > 1
    assert 0 <= done["trim"].summary["dev_accuracy"] <= 1
    assert done["trim"].summary["parameters"] < done["trim"].summary["parameters_before"]


def test_general_text_keeps_its_pieces(recipe: Path, trimmed: Outcome) -> None:
    (recipe.parent.parent / "general.txt").write_text(" ".join(GOOD) + "\n")
    asked = plan(recipe, "prune.vocabulary={text: general.txt}", until="prune")
    names = [stage.name for stage in asked.stages]
    assert names[:2] == ["data", "vocabulary"]
    assert names[-1] == "trim"
    assert "recover" in names
    (stage,) = [stage for stage in asked.stages if stage.name == "vocabulary"]
    summary = asked.build.cache.run(stage, SilentProgress()).summary
    assert summary["pieces"] > trimmed.finished["vocabulary"].summary["pieces"]
    assert summary["chosen_by"] == "the training text and general.txt"
    with pytest.raises(UsageError, match=r"no such file; correct the recipe's 'prune\.vocabulary\.text'"):
        plan(recipe, "prune.vocabulary={text: nowhere.txt}")


def test_a_tokeniser_with_more_pieces_than_embeddings_is_refused_before_any_training(tmp_path: Path) -> None:
    made = write_workspace(tmp_path)
    path = tmp_path / "teacher" / "tokenizer.json"
    fields = json.loads(path.read_text())
    pieces = len(fields["model"]["vocab"])
    fields["added_tokens"].append({**fields["added_tokens"][0], "id": pieces, "content": "[NEW]"})
    path.write_text(json.dumps(fields))
    asked, heard = plan(made, "prune={vocabulary: {}}"), Heard()
    with pytest.raises(UsageError, match=f"has {pieces + 1} pieces, the model {pieces} embeddings"):
        run_plan(asked, heard)
    assert not [line for line in heard.lines if "teacher" in line]


def test_a_size_counts_the_pieces_that_ship(recipe: Path, trimmed: Outcome) -> None:
    """A size too small for every piece may do for those that stay, which is known before anything is trained."""
    assert trimmed.finished["vocabulary"].summary["pieces"]
    size = "prune={size_mb: 0.0835, format: onnx-fp32, block: 8, recover: null}"
    with pytest.raises(UsageError, match=r"prune\.size_mb: 0\.0835 MB is impossible"):
        plan(recipe, size)
    asked = plan(recipe, size, "prune.vocabulary={}", until="prune")
    assert "vocabulary" in next(stage for stage in asked.stages if stage.name == "prune").inputs
    with pytest.raises(UsageError, match=r"prune\.size_mb: 0\.02 MB is impossible"):
        plan(recipe, size, "prune.vocabulary={}", "prune.size_mb=0.02")
