"""Pruning in a run: to a speedup, a size or several targets, on a device that weighs files instead of timing them."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tiny import write_workspace
from weighing import WeighingDevice

from edgedistil.bench.cases import Case
from edgedistil.bench.latency import LatencyTable, Steps, write_table
from edgedistil.bench.measurement import Interval
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.devices.profile import DeviceProfile, Kind, register
from edgedistil.distil.student import make_student
from edgedistil.errors import UsageError
from edgedistil.models import MODELS, EdgeBertConfig, from_checkpoint, load_model
from edgedistil.pipeline.answers import answers_of, line_of
from edgedistil.pipeline.cache import Finished
from edgedistil.pipeline.latency_tables import student_shape
from edgedistil.pipeline.plan import Plan, plan_recipe
from edgedistil.pipeline.pruning import calibration_batches, settings_of
from edgedistil.pipeline.run import Outcome, run_plan
from edgedistil.pipeline.show import result_view
from edgedistil.pipeline.stage import Stage
from edgedistil.profiling.table import shape_of
from edgedistil.progress import SilentProgress
from edgedistil.prune.blocks import sublayers_of
from edgedistil.prune.fisher import collect_fisher, loss_of
from edgedistil.recipe.load import Workspace, load_recipe
from edgedistil.recipe.schema import Prune

ONNX = ("prune.format=onnx-fp32", "export.formats=[onnx-fp32]", "bench.device=scales")

RUNTIME = importlib.metadata.version("onnxruntime")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    register("weighing", Kind(DeviceProfile, lambda profile: WeighingDevice(RUNTIME, profile)))
    root = tmp_path_factory.mktemp("pruning")
    made = write_workspace(root)
    (root / "devices").mkdir()
    (root / "devices" / "scales.yaml").write_text(yaml.safe_dump({"kind": "weighing"}))
    (root / "devices" / "lite.yaml").write_text(yaml.safe_dump({"kind": "weighing", "runtimes": ["litert"]}))
    return made


def plan(recipe: Path, *overrides: str, until: str | None = "prune") -> Plan:
    return plan_recipe(load_recipe(recipe, [*ONNX, *overrides]), Workspace.of_recipe(recipe), until=until)


class Heard(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def run(recipe: Path, *overrides: str) -> Outcome:
    return run_plan(plan(recipe, *overrides), SilentProgress())


def test_an_impossible_target_is_refused_before_any_training(recipe: Path) -> None:
    asked, heard = plan(recipe, "prune.speedup=500"), Heard()
    line = r"prune\.speedup: 500 times faster is impossible: .* is \d\.\d\d times faster; ask for at most \d"
    with pytest.raises(UsageError, match=line):
        run_plan(asked, heard)
    assert [said for said in heard.lines if "done" in said] == [heard.lines[-1]]
    assert "latency-table: done" in heard.lines[-1]
    with pytest.raises(UsageError, match=line):
        plan(recipe, "prune.speedup=500")
    with pytest.raises(UsageError, match=r"prune\.targets: 500 times faster is impossible"):
        plan(recipe, "prune.targets=[1.1, 500]")
    with pytest.raises(UsageError, match=r"prune\.latency_ms: scales is emulated, its clock means nothing; ask for"):
        plan(recipe, "prune.latency_ms=2")
    with pytest.raises(UsageError, match=r"prune\.size_mb: 0\.01 MB is impossible: .*; ask for at least 0\.\d+"):
        plan(recipe, "prune.size_mb=0.01")


def test_a_table_of_another_runtime_or_exporter_refuses_nothing(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nor does a damaged one stand in the way."""
    monkeypatch.setenv("EDGEDISTIL_CACHE", str(tmp_path))
    place = plan(recipe, "prune.speedup=1.2").build.place
    shape = place.setting.shape
    attention, ffn = (Steps(widths=[0, whole], costs=[0.0, 1.0]) for whole in (shape.heads, shape.ffn))
    table = LatencyTable(
        device_name="scales",
        device=place.facts,
        runtime="onnxruntime",
        runtime_version=RUNTIME,
        setting=place.setting,
        unit="instructions",
        rest=1.0,
        attention=attention,
        ffn=ffn,
        last_attention=attention,
        last_ffn=ffn,
    )
    path = tmp_path / "latency" / "scales-onnx-fp32-1.json"
    write_table(table, path)
    with pytest.raises(UsageError, match="500 times faster is impossible"):
        plan(recipe, "prune.speedup=500")
    for changed in ({"runtime_version": "0.1"}, {"exporter": 9}):
        write_table(table.model_copy(update=changed), path)
        plan(recipe, "prune.speedup=500")
    path.write_text('{"table_version": 1, "dev', encoding="utf-8")
    plan(recipe, "prune.speedup=500")


def test_budgets_of_files_that_cannot_be_are_refused(recipe: Path) -> None:
    with pytest.raises(UsageError, match=r"prune\.size_mb: the budget is of tflite-int8, which is not among export"):
        plan(recipe, "prune.size_mb=1", "prune.format=tflite-int8")
    with pytest.raises(
        UsageError, match="lite: runs no onnxruntime, which onnx-fp32 needs; choose a format of: litert"
    ):
        plan(recipe, "prune.speedup=2", "bench.device=lite")


def test_a_training_that_no_score_looks_at_is_refused(recipe: Path) -> None:
    with pytest.raises(UsageError, match=r"prune\.lasso: the score 'obs' looks at no such training; set prune\.score"):
        plan(recipe, "prune.lasso={epochs: 1}")


def test_the_table_comes_first_and_follows_the_device_and_the_shape(recipe: Path) -> None:
    def key(*overrides: str) -> str:
        first = plan(recipe, "prune.speedup=1.2", *overrides).stages[0]
        assert first.name == "latency-table"
        return first.key

    usual = key()
    assert key("prune.block=32") == key("prune.speedup=1.1") == key("distil.epochs=3") == usual
    changed = [
        key("bench.threads=2"),
        key("bench.sequence_length=32"),
        key("student.layers=2"),
        key("prune.format=onnx-int8", "export.formats=[onnx-int8]"),
    ]
    assert len({usual, *changed}) == 5
    assert not [stage for stage in plan(recipe, "prune.parameters=0.6").stages if "latency" in stage.name]


def test_a_family_is_pruned_and_recovered_one_from_the_other(recipe: Path) -> None:
    outcome = run(recipe, "prune.targets=[1.3, 1.7]", "prune.score=group_lasso", "prune.lasso={epochs: 0.5}")
    names = ["lasso", "prune-1.3x", "recover-1.3x", "prune-1.7x", "recover-1.7x"]
    assert [name for name in outcome.finished if name.startswith(("lasso", "prune", "recover"))] == names
    answers = result_view(outcome, recipe).as_json()["answers"]
    assert [answer["asked"] for answer in answers] == [1.3, 1.7]
    for answer in answers:
        assert answer["measured"] >= 0.95 * answer["asked"]
        assert answer["predicted"] == pytest.approx(answer["measured"], rel=0.08)
        assert 0 <= answer["scores"]["dev_accuracy"] <= 1
    sizes = [load_model(outcome.finished[name].folder / "model").num_parameters() for name in names[1:]]
    assert sizes[0] == sizes[1] > sizes[2] == sizes[3]
    longer = plan(recipe, "prune.targets=[1.3, 1.7, 1.8]", "prune.score=group_lasso", "prune.lasso={epochs: 0.5}")
    found = [stage.name for stage in longer.stages if longer.build.cache.find(stage) is None]
    assert found == ["prune-1.8x", "recover-1.8x"]


def test_a_model_that_is_not_trained_again_is_another_result(recipe: Path) -> None:
    """Left-out values count as what they come to, so that neither is ever found in place of the other."""

    def made_by(*overrides: str) -> dict[str, Any]:
        (stage,) = (stage for stage in plan(recipe, *overrides).stages if stage.name == "prune")
        return stage.parameters["prune"]

    trained, untrained = made_by(), made_by("prune.recover=null")
    assert "local_search" not in trained
    assert "refit" not in trained
    assert (untrained["local_search"], untrained["refit"]) == (30, True)
    assert untrained == made_by("prune.refit=true", "prune.local_search=30")
    assert trained == made_by("prune.recover=null", "prune.refit=false", "prune.local_search=0")


def test_multiply_accumulates_are_counted_at_the_length_that_is_measured(recipe: Path) -> None:
    asked = [*ONNX, "prune={macs: 0.5, block: 8, recover: null}", "max_length=16", "export.sequence_lengths=[16, 64]"]

    def stage(*overrides: str) -> Stage:
        made = plan_recipe(load_recipe(recipe, [*asked, *overrides]), Workspace.of_recipe(recipe), until="prune")
        return next(stage for stage in made.stages if stage.name == "prune")

    assert stage("bench.sequence_length=64").parameters == stage("bench.sequence_length=16").parameters
    assert stage("bench.sequence_length=8").parameters != stage("bench.sequence_length=16").parameters
    loaded = load_recipe(recipe, [*asked, "bench.sequence_length=64"])
    assert loaded.prune is not None
    assert settings_of(loaded.prune, loaded).sequence_length == 16


def test_a_size_is_that_of_the_file(recipe: Path) -> None:
    outcome = run(recipe, "prune.size_mb=0.2", "prune.recover=null", "prune.block=8")
    record = json.loads((outcome.finished["prune"].folder / "pruning.json").read_text())
    answer = record["answer"]
    assert -0.08 <= answer["miss"] <= 0
    assert answer["line"].startswith("asked 0.2 MB, predicted 0.")
    assert record["budget"] == {"size_mb": 0.2}
    assert record["macs_tokens"] == 16


@pytest.mark.parametrize(
    ("unit", "budget", "asked", "words"),
    [
        ("ms", "latency_ms", 2.0, "; ONNX int8 as shipped: 2.1 ms (+5.0 %)"),
        ("ms", "speedup", 2.0, "; ONNX int8 as shipped: 1.9x (+5.0 %), 2.1 ms"),
        ("MB", "size_mb", 4.0, "; ONNX int8 as shipped: 3 MB (-25.0 %)"),
        ("instructions", "speedup", 2.0, "; ONNX int8 as shipped: 1.9x (+5.0 %), 2.1e+06 instructions"),
    ],
)
def test_the_shipped_file_is_held_against_what_was_asked(
    tmp_path: Path, unit: str, budget: str, asked: float, words: str
) -> None:
    (tmp_path / "model_quantized.onnx").write_bytes(b"")
    (made,) = (
        WeighingDevice()
        .bench(
            [Case("pruned, ONNX int8", "tiny", tmp_path / "model_quantized.onnx", "onnx-int8", "onnxruntime", 1, 16)]
        )
        .measurements
    )
    shipped = made.model_copy(
        update={"p50_ms": Interval(value=2.1, low=2.0, high=2.2), "bytes": 3_000_000, "instructions": {"total": 2.1e6}}
    )
    slower = {"p50_ms": Interval(value=4.0, low=3.9, high=4.1), "instructions": {"total": 4e6}}
    student = shipped.model_copy(update={"name": "student, ONNX int8", **slower})
    said = {"budget": budget, "asked": asked, "unit": unit, "line": "asked and answered", "attempts": [{}]}
    done = {"prune": Finished(tmp_path, "prune", "0", 1, 1.0, summary={"answer": said})}
    prune = Prune.model_validate({budget: asked, "format": "onnx-int8"})
    (answer,) = answers_of(prune, done, [shipped.model_copy(update={"name": "student, ONNX fp32"}), student, shipped])
    assert line_of(answer) == f"prune: asked and answered{words}"
    (unmeasured,) = answers_of(prune, done, [])
    assert line_of(unmeasured) == "prune: asked and answered"


@pytest.mark.parametrize(
    ("kind", "head", "labels"),
    [
        ("class", {}, [1, 0, 2, 1]),
        ("value", {"problem": "regression", "num_labels": 1}, [0.5, 1.0, 0.0, 2.0]),
        ("tags", {"head": "token"}, [1, -100, 0, 2] * 5),
        ("span", {"head": "span", "num_labels": 2}, [[1, 2], [0, 0], [3, 3], [1, 1]]),
    ],
)
def test_calibration_brings_labels_in_the_losss_shape(kind: str, head: dict[str, object], labels: list) -> None:
    config = EdgeBertConfig(
        vocab_size=30, hidden_size=16, head_size=8, heads=[2], ffn=[16], **({"num_labels": 3} | head)
    )
    model = MODELS[config.head](config).eval()
    places = {"starts": [0] * 20, "ends": [1] * 20} if kind in ("tags", "span") else {}
    rows = EvaluationSet(range(20), [0, 4, 9, 14, 20], labels, list("abcd"), kind=kind, **places)
    batches = calibration_batches(rows, 3, seed=0)
    assert sum(len(ids) for ids, _, _ in batches) == 3
    for ids, mask, labelled in batches:
        assert torch.isfinite(loss_of(model, model(ids, mask).logits, labelled))
    found = collect_fisher(model, batches, sublayers_of(config, 8), SilentProgress())
    assert all(float(each.diagonal().sum()) > 0 for each in found)


@pytest.mark.parametrize(
    "student",
    [{"layers": 1}, {"layers": 2, "heads": 2}, {"hidden_size": 32, "layers": 1}, {"layers": 1, "ffn": 48}],
)
def test_a_students_shape_is_known_before_there_is_one(recipe: Path, student: dict[str, int]) -> None:
    folder = recipe.parent.parent / "teacher"
    asked = load_recipe(recipe, [f"student={json.dumps(student)}"])
    teacher = from_checkpoint(folder, ["a", "b"])
    made = make_student(teacher, **student, init="teacher" if set(student) == {"layers"} else "projected")
    configuration = json.loads((folder / "config.json").read_text())
    assert student_shape(asked, configuration) == shape_of(made.config)
    assert student_shape(asked, json.loads(teacher.config.to_json_string(use_diff=False))) == shape_of(made.config)
