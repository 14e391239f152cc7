"""What a plan refuses before any work is done, in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from planning import keys
from tiny import write_teacher, write_workspace

from edgedistil import errors
from edgedistil.errors import UsageError

STATIC = ("export.formats=[onnx-int8,onnx-int8-static]",)

ATTENTION = "losses={attention_maps: 1}"

RELATIONS = "losses={relations: 1}"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_workspace(tmp_path_factory.mktemp("refusals"))


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ("max_length=100", "export.sequence_lengths=[128]"),
            "max_length: 100 tokens are more than the 64 that the teacher takes; choose at most 64",
        ),
        (
            ("export.sequence_lengths=[32,128]",),
            "export.sequence_lengths: 128 tokens are more than the 64 that the teacher takes; choose at most 64",
        ),
        (
            ("general.text=data/plain.txt", "general.max_length=100"),
            "general.max_length: 100 tokens are more than the 64 that the teacher takes; choose at most 64",
        ),
    ],
)
def test_texts_longer_than_the_teacher_takes_are_refused_before_the_work(recipe: Path, overrides, line: str):
    with pytest.raises(UsageError) as caught:
        keys(recipe, *overrides)
    assert caught.value.line() == line


def test_a_signature_longer_than_the_teacher_takes_is_no_matter_where_no_file_has_signatures(recipe: Path):
    assert keys(recipe, "export.sequence_lengths=[32,128]", "export.formats=[onnx-int8]")
    assert keys(recipe, "export.sequence_lengths=[32,128]", until="distil")


def test_a_backend_that_is_not_installed_is_said_before_any_work(recipe: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError) as caught:
        keys(recipe, *STATIC, "quantise={backend: neural-compressor}")
    assert caught.value.line() == "neural_compressor is not installed; run: pip install 'edgedistil[nc]'"


def test_student_deeper_than_the_teacher_is_refused_before_any_work(recipe: Path):
    with pytest.raises(UsageError, match=r"student\.layers is 3, the teacher has 2 layers"):
        keys(recipe, "student.layers=3")


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (("student.heads=3",), "student.heads: a width of 64 does not divide into 3 heads; choose a number that"),
        (("student.hidden_size=30",), "student.heads: a width of 30 does not divide into 4 heads; choose a number"),
        (
            ("student.hidden_size=128",),
            "student.hidden_size: a student 128 wide cannot start from a teacher 64 wide; choose at most 64, or set",
        ),
        (
            ("student.heads=2", f"distil.{ATTENTION}"),
            "tiny: attention_maps needs equal heads: the student has 2, the teacher 4; use distil.losses.relations in",
        ),
        (
            (f"prune.recover.{ATTENTION}",),
            (
                "prune.recover: attention_maps needs as many heads as the teacher has, and pruning removes some; "
                "use prune.recover.losses.relations in its place, which needs none"
            ),
        ),
        (
            (f"distil.{RELATIONS}", "distil.relation_heads=8", "student.hidden_size=36"),
            "distil.relation_heads is 8, which does not divide projections 36 and 64 wide; choose one of: 1, 2, 4",
        ),
        (
            (f"prune.recover.{RELATIONS}", "prune.recover.relation_heads=3"),
            "prune.recover.relation_heads is 3, which does not divide projections 64 wide; choose one of: 1, 2, 4, 8,",
        ),
        (
            ("general.text=data/train.tsv", "general.layer_map=[[3,1]]"),
            "general.layer_map pairs student layer 3 with teacher layer 1; the student has layers 1 to 1",
        ),
    ],
)
def test_a_student_that_cannot_be_or_follow_is_refused_before_any_work(recipe: Path, overrides, line: str):
    with pytest.raises(UsageError) as caught:
        keys(recipe, *overrides)
    assert caught.value.line().startswith(line)


@pytest.mark.parametrize(
    "overrides",
    [
        (f"prune.recover.{ATTENTION}", "prune.parameters=1"),
        (f"prune.recover.{ATTENTION}", "prune.parameters=null", "prune.vocabulary={}"),
        (f"distil.{ATTENTION}", "student.hidden_size=32"),
        ("student.hidden_size=128", "student.init=fresh"),
    ],
)
def test_a_student_that_may_follow_is_not_refused(recipe: Path, overrides):
    assert keys(recipe, *overrides)


def test_heads_of_a_teacher_that_was_pruned_are_not_guessed(recipe: Path, tmp_path: Path):
    folder = tmp_path / "pruned"
    shutil.copytree(recipe.parents[1] / "teacher", folder)
    ours = {"model_type": "edgedistil-bert", "hidden_size": 64, "head_size": 16, "heads": [4, 2], "ffn": [128, 128]}
    (folder / "config.json").write_text(json.dumps({**ours, "max_position_embeddings": 64}), encoding="utf-8")
    assert keys(recipe, f"teacher.model={folder}", f"distil.{ATTENTION}", until="distil")


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ("{", "config.json cannot be read as JSON; restore it"),
        ("[]", "config.json is not a JSON object; restore it"),
        ('{"model_type": "roberta"}', "model_type 'roberta' is not supported; did you mean 'bert'?"),
        (
            '{"model_type": "bert", "num_hidden_layers": "two"}',
            "'num_hidden_layers' in config.json is 'two', which is no size; restore it",
        ),
        (
            '{"model_type": "distilbert", "n_layers": 2}',
            "'dim' in config.json is None, which is no size; restore it",
        ),
        (
            '{"model_type": "distilbert", "n_layers": 2, "dim": 8, "position_embedding_type": "relative_key"}',
            "only encoders with absolute positions are supported; choose another checkpoint",
        ),
    ],
)
def test_a_teacher_that_cannot_be_opened_is_refused_before_the_work(
    recipe: Path, tmp_path: Path, config: str, line: str
):
    folder = tmp_path / "teacher"
    shutil.copytree(recipe.parents[1] / "teacher", folder)
    (folder / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        keys(recipe, f"teacher.model={folder}")
    assert caught.value.line().startswith(str(folder))
    assert caught.value.line().endswith(f": {line}")


def test_a_teacher_without_weights_is_refused_before_the_work(recipe: Path, tmp_path: Path):
    folder = tmp_path / "teacher"
    shutil.copytree(recipe.parents[1] / "teacher", folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="no weights in the checkpoint"):
        keys(recipe, f"teacher.model={folder}")
    index = folder / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "one.safetensors"}}', encoding="utf-8")
    with pytest.raises(UsageError, match=r"names one\.safetensors, which is not there"):
        keys(recipe, f"teacher.model={folder}")
    whole = recipe.parents[1] / "teacher" / "model.safetensors"
    shutil.copyfile(whole, folder / "one.safetensors")
    first = keys(recipe, f"teacher.model={folder}")["teacher"]
    index.write_text('{"weight_map": {"a": "two.safetensors"}}', encoding="utf-8")
    shutil.copyfile(whole, folder / "two.safetensors")
    assert keys(recipe, f"teacher.model={folder}")["teacher"] != first


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
def test_teacher_folder_without_a_file_is_named(tmp_path: Path, name: str):
    recipe = write_workspace(tmp_path)
    (tmp_path / "teacher" / name).unlink()
    with pytest.raises(UsageError, match=f"folder has no {name}"):
        keys(recipe)


@pytest.mark.parametrize("place", ["runs", "runs/tiny"])
def test_a_folder_for_the_results_that_cannot_be_one_is_refused_before_the_work(tmp_path: Path, place: str):
    recipe = write_workspace(tmp_path)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).touch()
    with pytest.raises(UsageError) as caught:
        keys(recipe)
    fault = "is no folder" if place == "runs/tiny" else f"cannot be made, as {tmp_path}/runs is no folder"
    assert caught.value.line() == (
        f"{tmp_path}/runs/tiny: the run's folder {fault}; make room for it there, or choose another 'name'"
    )
    assert keys(recipe, until="prune"), "which leaves nothing there"


def test_missing_teacher_folder_is_named(recipe: Path):
    with pytest.raises(UsageError, match="no such teacher folder"):
        keys(recipe, "teacher.model=./nowhere")


def test_unknown_device_is_named(recipe: Path):
    with pytest.raises(UsageError, match="no device named 'locl'"):
        keys(recipe, "bench.device=locl")


def test_a_start_of_another_vocabulary_is_refused(recipe: Path, tmp_path: Path):
    folder = write_teacher(tmp_path / "start")
    named = (folder / "tokenizer.json").read_text(encoding="utf-8")
    (folder / "tokenizer.json").write_text(named.replace('"wonderful"', '"splendid"'), encoding="utf-8")
    with pytest.raises(UsageError, match=r"its vocabulary is not the teacher's.*start with the teacher's tokeniser"):
        keys(recipe, f"student.start.model={folder}")


def test_a_second_text_is_refused_where_a_row_has_one(recipe: Path, tmp_path: Path):
    (tmp_path / "more.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match=r"'unlabelled_pair' names a second text.*text-classification has one"):
        keys(recipe, f"distil.unlabelled={tmp_path / 'more.jsonl'}", "distil.unlabelled_pair=other")
