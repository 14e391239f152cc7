from __future__ import annotations

import contextlib
import copy
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small_recipe import BASE, changed

from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.recipe import Workspace, load_recipe, parse_recipe
from edgedistil.recipe.strict_yaml import read_yaml


def test_a_short_recipe_is_filled_with_defaults():
    recipe = parse_recipe(BASE)
    assert (recipe.task, recipe.max_length, recipe.seed) == ("text-classification", 128, 42)
    assert recipe.data.source == "files"
    assert (recipe.data.text, recipe.data.label) == ("text", "label")
    assert recipe.student.layers == 6
    assert recipe.distil.epochs == 4.0
    assert recipe.distil.losses.key() == {"soft_targets": 1.0, "hard_labels": 0.5, "hidden_states": 1.0}
    assert recipe.teacher.fine_tune is None
    assert recipe.prune is not None
    assert recipe.prune.recover is not None
    assert recipe.prune.recover.epochs == 2.0
    assert recipe.export.formats == ["onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"]
    assert recipe.export.sequence_lengths == [32, 64, 128]
    assert recipe.bench.device == "local"
    assert recipe.gate.margin == 0.01


def test_the_budget_is_the_one_that_is_named():
    assert parse_recipe(BASE).prune.budget == ("parameters", 0.5)
    assert parse_recipe(changed(prune={"macs": 1})).prune.budget == ("macs", 1.0)


def test_a_recipe_without_prune_has_none():
    assert parse_recipe(BASE, ["prune=null"]).prune is None


def test_overrides_replace_one_key_and_leave_the_others():
    recipe = parse_recipe(BASE, ["distil.losses.hard_labels=0", "student.layers=2", "teacher.fine_tune={epochs: 1}"])
    assert recipe.distil.losses.hard_labels == 0
    assert recipe.distil.losses.soft_targets == 1.0
    assert recipe.student.layers == 2
    assert recipe.teacher.fine_tune is not None
    assert recipe.teacher.model == "teacher"


def test_a_budget_that_is_set_replaces_the_other_kind():
    assert parse_recipe(BASE, ["prune.macs=0.3"]).prune.budget == ("macs", 0.3)
    assert parse_recipe(BASE, ["prune.macs=0.3", "prune.parameters=0.2"]).prune.budget == ("parameters", 0.2)
    assert parse_recipe(BASE, ["prune.latency_ms=2"]).prune.budget == ("latency_ms", 2.0)
    assert parse_recipe(BASE, ["prune.targets=[1.5, 2]"]).prune.budget == ("speedup", 2.0)


def test_plain_text_is_enough_to_learn_from():
    recipe = parse_recipe(BASE, ["data=null", "general={text: a.txt}"])
    assert recipe.general is not None
    assert recipe.general.losses.weights == {"soft_targets": 5.0, "masked_language": 2.0, "cosine": 1.0}
    with pytest.raises(UsageError, match="has no 'data': it ends with general distillation; run: edgedistil general"):
        _ = recipe.examples
    assert parse_recipe(BASE).examples.train == "data/train.tsv"


def test_stages_layer_maps_and_joined_layers_are_read():
    stages = "[{losses: {attention_maps: 1, hidden_states: 1}, epochs: 2}, {losses: {soft_targets: 1}, epochs: 0.5}]"
    distil = parse_recipe(BASE, [f"distil.stages={stages}", "distil.layer_map=[[0, 0], [6, 12]]"]).distil
    assert distil.layer_map == [(0, 0), (6, 12)]
    assert distil.all_losses == ("hidden_states", "attention_maps", "soft_targets")
    assert distil.all_epochs == 2.5
    assert distil.stages is not None
    assert distil.stages[1].losses.weights == {"soft_targets": 1.0}, "what a stage does not name is off"
    assert parse_recipe(BASE, ["task=token-classification", "joined_layers=6"]).joined_layers == 6


def test_a_file_is_read_and_named_in_its_errors(tmp_path: Path):
    path = tmp_path / "small.yaml"
    path.write_text("\ufeff" + BASE, encoding="utf-8")
    assert load_recipe(path) == parse_recipe(BASE)
    path.write_text(BASE + "studnt: 3", encoding="utf-8")
    with pytest.raises(UsageError, match=r"small\.yaml: unknown key 'studnt'"):
        load_recipe(path)


def test_a_missing_file_names_the_nearest_one(tmp_path: Path):
    (tmp_path / "quickstart.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "other.yaml").write_text(BASE, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_recipe(tmp_path / "quikstart.yaml")
    assert caught.value.line() == f"{tmp_path}/quikstart.yaml: no such recipe; did you mean 'quickstart.yaml'?"


def test_a_missing_file_in_an_empty_folder_names_the_way_to_a_first_one(tmp_path: Path):
    with pytest.raises(UsageError, match=r"no such recipe; make a workspace with 'edgedistil init'$"):
        load_recipe(tmp_path / "quickstart.yaml")


def test_a_file_that_is_not_utf8_or_no_file_at_all_is_told(tmp_path: Path):
    path = tmp_path / "latin.yaml"
    path.write_bytes(BASE.encode() + b"# caf\xe9\n")
    with pytest.raises(UsageError, match=r"latin\.yaml: cannot read the recipe \(.*0xe9"):
        load_recipe(path)
    with pytest.raises(UsageError, match="cannot read the recipe"):
        load_recipe(tmp_path)


def test_the_workspace_is_the_folder_above_export_else_the_files_own(tmp_path: Path):
    assert Workspace.of_recipe(tmp_path / "export" / "a.yaml").root == tmp_path
    assert Workspace.of_recipe(tmp_path / "elsewhere" / "a.yaml").root == tmp_path / "elsewhere"
    workspace = Workspace(tmp_path)
    assert workspace.resolve("data/a.tsv") == tmp_path / "data" / "a.tsv"
    assert workspace.resolve("/a.tsv") == Path("/a.tsv")
    assert workspace.resolve("~/a.tsv") == Path.home().resolve() / "a.tsv"
    assert workspace.run_folder("small") == tmp_path / "runs" / "small"


def test_the_home_of_nobody_is_one_line(tmp_path: Path):
    with pytest.raises(UsageError) as caught:
        Workspace(tmp_path).resolve("~no-such-person/train.tsv")
    assert caught.value.line() == "~no-such-person/train.tsv: there is no such home folder; write the whole path"


def test_a_key_may_be_merged_and_given_anew():
    text = "first: &first {epochs: 1, batch_size: 8}\nsecond: &second {<<: *first, epochs: 2}\n"
    read = read_yaml(text + "third: {<<: [*second, *first], epochs: 3}\n<<: *second\n", "it")
    assert read["second"] == {"epochs": 2, "batch_size": 8}
    assert read["third"] == {"epochs": 3, "batch_size": 8}
    assert read["epochs"] == 2


def test_an_override_of_an_anchored_section_leaves_its_alias_as_it_is():
    text = BASE.replace("{parameters: 0.5}", "{parameters: 0.5, recover: &same {epochs: 3}}") + "distil: *same\n"
    recipe = parse_recipe(text, ["distil.epochs=5"])
    assert recipe.prune
    assert (recipe.prune.recover.epochs, recipe.distil.epochs) == (3, 5)


def test_every_recipe_and_part_of_one_in_the_readme_loads():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        parse_recipe(changed(**yaml.safe_load(block)))


def test_every_committed_recipe_loads():
    folder = Path(__file__).parents[2] / "export"
    paths = sorted(folder.glob("*.yaml"))
    assert {"quickstart", "sst2", "emotion", "stsb", "toxic-spans", "xquad"} <= {path.stem for path in paths}
    for path in paths:
        assert load_recipe(path).name == path.stem


MARKS = st.text(alphabet="abel nmo:{}[],-#'\"&*!?|>%@`\n\t0.~<=", max_size=40)


@given(st.one_of(st.text(max_size=60), MARKS, MARKS.map(lambda text: BASE + text)))
def test_any_text_is_a_recipe_or_a_line(text: str):
    with contextlib.suppress(EdgeDistilError):
        parse_recipe(text)


KEYS = st.sampled_from(["prune", "prune.parameters", "name", "distil.losses.cosine", "distil.layer_map", "a.b", ""])


@given(st.one_of(st.text(max_size=40), st.builds("{}={}".format, KEYS, st.one_of(MARKS, st.text(max_size=20)))))
def test_any_override_is_taken_or_gives_a_line(override: str):
    with contextlib.suppress(EdgeDistilError):
        parse_recipe(BASE, [override])


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "seed": st.integers(0, 2**32 - 1),
            "student.layers": st.integers(1, 96),
            "prune.parameters": st.floats(0.001, 1.0),
            "distil.learning_rate": st.floats(1e-9, 0.9),
            "data.label": st.text(min_size=1, max_size=10),
            "data.labels": st.lists(st.text(max_size=5), min_size=2, max_size=4, unique=True),
        },
    )
)
def test_a_value_set_by_override_is_the_value_read(values: dict[str, object]):
    recipe = parse_recipe(BASE, [f"{key}={yaml.safe_dump(value)}" for key, value in values.items()]).model_dump()
    expected = copy.deepcopy(parse_recipe(BASE).model_dump())
    for key, value in values.items():
        *parents, last = key.split(".")
        node = expected
        for parent in parents:
            node = node[parent]
        node[last] = value
    assert recipe == expected
