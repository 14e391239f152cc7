"""Recipes that quantise, from a finished student to files that hold."""

from __future__ import annotations

import json

import pytest
from accelerate.state import AcceleratorState
from command import typed

from edgedistil.bundle.read import open_bundle
from edgedistil.pipeline.plan import plan_recipe
from edgedistil.pipeline.run import run_plan
from edgedistil.pipeline.show import result_view
from edgedistil.progress import SilentProgress
from edgedistil.recipe.load import Workspace, load_recipe

ASKED = {
    "smooth": "{smooth: true, max_drop: 0.02, calibration_examples: 64}",
    "qat": "{qat: {epochs: 0.1, learning_rate: 1e-4}, calibration_examples: 64}",
}


@pytest.mark.parametrize("asked", ASKED)
def test_a_student_is_made_ready_and_its_static_file_holds(asked: str, tiny_run):
    overrides = [f"quantise={ASKED[asked]}", "export.formats=[onnx-int8,onnx-int8-static]"]
    path = tiny_run.root / "export" / "tiny.yaml"
    AcceleratorState._reset_state(True)
    plan = plan_recipe(load_recipe(path, overrides), Workspace.of_recipe(path), until="export")
    outcome = run_plan(plan, SilentProgress())
    done = outcome.finished
    assert [name for name, stage in done.items() if not stage.reused] == ["quantise", "export"]
    assert done["export"].summary["left_out"] == {}
    assert set(done["export"].summary["parity"]) == {"onnx-int8", "onnx-int8-static"}
    bundle = open_bundle(tiny_run.bundle)
    assert bundle.manifest.lineage[-1].name == "quantise"
    ranges = json.loads((done["quantise"].folder / "ranges.json").read_text())["inputs"]
    lines = result_view(outcome, path).as_json()["quantised"]
    if asked == "smooth":
        assert done["quantise"].summary["smoothable"] >= 2
        assert not ranges
        log = json.loads((tiny_run.root / "runs" / "tiny" / "quantise.json").read_text())
        assert [trial["scheme"] for trial in log["trials"] if trial["holds"]] == ["onnx-int8-static", "onnx-int8"]
        assert len(lines) == 1
    else:
        assert done["quantise"].summary["best_dev_score"] > 0.9
        assert "encoder.layers.0.ffn.up" in ranges
        assert "classifier" not in ranges
        assert lines == []


def test_a_report_of_files_that_the_bundle_no_longer_holds_is_said_to_be_so(tiny_run):
    try:
        done = typed(["export", "export/tiny.yaml", "--set", "export.formats=[onnx-fp32,onnx-int4]"], tiny_run.root)
        assert done.returncode == 0, done.stderr
        line = "report.html is of other files; to measure these: edgedistil run export/tiny.yaml"
        assert line in done.stdout.replace("\n", " ")
    finally:
        done = typed(["run", "export/tiny.yaml"], tiny_run.root)
    assert done.returncode == 0, done.stderr
    assert "is of other files" not in done.stdout
