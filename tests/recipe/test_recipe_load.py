from __future__ import annotations

import contextlib
import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.recipe import Workspace, load_recipe, parse_recipe

BASE = """\
name: small
data: {train: data/train.tsv}
teacher: {model: teacher}
prune: {parameters: 0.5}
"""


def line_of(text: str, overrides: tuple[str, ...] = ()) -> str:
    """Returns the one line that a bad recipe gives."""
    with pytest.raises(UsageError) as caught:
        parse_recipe(text, overrides)
    line = caught.value.line()
    assert "\n" not in line
    assert caught.value.exit_code == 2
    return line


def changed(**sections: object) -> str:
    """Returns the recipe above with some sections replaced."""
    return yaml.safe_dump({**yaml.safe_load(BASE), **sections})


def test_a_short_recipe_is_filled_with_defaults():
    recipe = parse_recipe(BASE)
    assert (recipe.task, recipe.max_length, recipe.seed) == ("text-classification", 128, 42)
    assert recipe.data.source == "files"
    assert (recipe.data.text, recipe.data.label) == ("text", "label")
    assert recipe.student.layers == 6
    assert recipe.distil.epochs == 4.0
    assert recipe.distil.losses.model_dump() == {"soft_targets": 1.0, "hard_labels": 0.5, "hidden_states": 1.0}
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


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BASE + "studnt: {layers: 3}", "recipe: unknown key 'studnt'; did you mean 'student'?"),
        (BASE + "student: {layer: 3}", "recipe: unknown key 'student.layer'; did you mean 'layers'?"),
        (
            BASE + "distil: {losses: {soft_target: 1}}",
            "recipe: unknown key 'distil.losses.soft_target'; did you mean 'soft_targets'?",
        ),
        (
            changed(prune={"parameters": 0.5, "recover": {"epoch": 1}}),
            "recipe: unknown key 'prune.recover.epoch'; did you mean 'epochs'?",
        ),
        (
            changed(teacher={"model": "t", "fine_tune": {"learning-rate": 1}}),
            "recipe: unknown key 'teacher.fine_tune.learning-rate'; did you mean 'learning_rate'?",
        ),
        (changed(prune={"parameters": 0}), "recipe: prune.parameters: input should be greater than 0, not 0"),
        (changed(prune={"macs": 1.5}), "recipe: prune.macs: input should be less than or equal to 1, not 1.5"),
        (changed(prune={"parameters": float("nan")}), "recipe: prune.parameters: input should be"),
        (changed(prune={"parameters": 0.5, "macs": 0.5}), "recipe: prune: name one budget: 'parameters' or 'macs'"),
        (changed(prune={}), "recipe: prune: name one budget: 'parameters' or 'macs'"),
        ("name: small\nteacher: {model: t}", "recipe: the key 'data' is missing; add it"),
        (changed(teacher={}), "recipe: the key 'teacher.model' is missing; add it"),
        ("name: small", "recipe: the key 'data' is missing (and 1 more); add it"),
        (changed(data={}), "recipe: data: source 'files' needs the key 'train'"),
        (changed(data={"source": "hub"}), "recipe: data: source 'hub' needs the key 'hub_id'"),
        (changed(teacher={"model": "pypi:a==1#b"}), "recipe: teacher: a 'pypi:' teacher needs the key 'sha256'"),
        (BASE + "student: {layers: two}", "recipe: student.layers: input should be a valid integer"),
        (BASE + "student: {layers: 2.5}", "recipe: student.layers: input should be a valid integer"),
        (BASE + "student: 3", "recipe: student: input should be a valid dictionary or instance of Student, not 3"),
        (changed(data={"train": 3}), "recipe: data.train: input should be a valid string, not 3"),
        (
            changed(data={"train": "a", "labels": [False, True]}),
            "recipe: data.labels.0: input should be a valid string",
        ),
        (BASE + "export: {formats: [onnx-fp33]}", "recipe: export.formats.0: input should be 'onnx-fp32', 'onnx-int8'"),
        (BASE + "export: {formats: []}", "recipe: export.formats: list should have at least 1 item"),
        (BASE + "export: {sequence_lengths: [64, 32]}", "recipe: export: sequence_lengths must rise"),
        (BASE + "max_length: 256", "recipe: max_length 256 is above the longest TFLite signature (128)"),
        (BASE + "bench: {sequence_length: 256}", "recipe: bench.sequence_length 256 is above the longest of"),
        (
            BASE + "distil: {losses: {soft_targets: 0, hard_labels: 0, hidden_states: 0}}",
            "recipe: distil.losses: every loss has weight 0",
        ),
        (BASE + "seed: -1", "recipe: seed: input should be greater than or equal to 0, not -1"),
        (changed(name="Big Name"), "recipe: name: string should match pattern"),
        (BASE + "task: tagging", "recipe: task: input should be 'text-classification', not 'tagging'"),
        (BASE + "1: 2", "recipe: 1: keys should be strings, not 1"),
    ],
)
def test_a_wrong_key_or_value_is_named(text: str, line: str):
    assert line_of(text).startswith(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BASE + "student: {layers: 3", "recipe:5: not valid YAML (expected ',' or '}'"),
        ("name: small\nseed: a: b\n", "recipe:2: not valid YAML (mapping values are not allowed here)"),
        ("name: small\nstudent:\n\tlayers: 3\n", "recipe:3: not valid YAML (found character '\\t'"),
        ("", "recipe: a recipe is a mapping of keys"),
        ("- a\n- b\n", "recipe: a recipe is a mapping of keys"),
        ("just words", "recipe: a recipe is a mapping of keys"),
        ("name: !!python/object:os.system x", "recipe:1: not valid YAML (could not determine a constructor"),
        ("name: 2020-99-99", "recipe: not valid YAML (month must be in 1..12)"),
        ("seed: !!int x", "recipe: not valid YAML (invalid literal for int()"),
        ("seed: !!float ''", "recipe: not valid YAML ("),
        ("seed: !!bool x", "recipe: not valid YAML ("),
        ("name: !!timestamp x", "recipe: not valid YAML ("),
        ("[" * 3000, "recipe: not valid YAML (maximum recursion depth exceeded"),
        ("name: \x00", "recipe: not valid YAML (unacceptable character #x0000"),
    ],
)
def test_what_is_no_yaml_mapping_is_told_with_its_line(text: str, line: str):
    assert line_of(text).startswith(line)


def test_an_endless_value_is_told_in_short():
    assert len(line_of(BASE + f"student: {{layers: {'x' * 5000}}}")) < 250
    assert line_of(BASE + f"seed: 0x{'f' * 5000}").endswith("not a number that long")


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("prune", "--set 'prune' is not key=value; for example --set prune.parameters=0.4"),
        ("=3", "--set '=3' is not key=value"),
        ("name.x=3", "--set name.x=3: 'name' is not a section"),
        ("student.layerz=2", "recipe: unknown key 'student.layerz'; did you mean 'layers'?"),
        ("studnt.layers=2", "recipe: unknown key 'studnt'; did you mean 'student'?"),
        ("prune.parameters=2", "recipe: prune.parameters: input should be less than or equal to 1, not 2"),
        ("student.layers=[", "--set student.layers=[: not valid YAML"),
        ("seed=2020-99-99", "--set seed=2020-99-99: not valid YAML (month"),
        ("seed=!!int x", "--set seed=!!int x: not valid YAML (invalid literal"),
        (".=3", "recipe: unknown key ''; choose one of: bench, data,"),
    ],
)
def test_a_bad_override_is_named(override: str, line: str):
    assert line_of(BASE, (override,)).startswith(line)


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


def test_every_committed_recipe_loads():
    folder = Path(__file__).parents[2] / "export"
    paths = sorted(folder.glob("*.yaml"))
    assert {"quickstart.yaml", "sst2.yaml"} <= {path.name for path in paths}
    for path in paths:
        assert load_recipe(path).name == path.stem


MARKS = st.text(alphabet="abel nmo:{}[],-#'\"&*!?|>%@`\n\t0.~<=", max_size=40)


@given(st.one_of(st.text(max_size=60), MARKS, MARKS.map(lambda text: BASE + text)))
def test_any_text_is_a_recipe_or_a_line(text: str):
    with contextlib.suppress(EdgeDistilError):
        parse_recipe(text)


KEYS = st.sampled_from(["prune", "prune.parameters", "name", "student.layers", "export.formats", "a.b", ""])


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
            "data.labels": st.lists(st.text(max_size=5), min_size=2, max_size=4),
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
