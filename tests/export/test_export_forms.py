"""Of two forms of a file the nearer is made; which one, and by how much, is said."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.evaluate import predict_logits
from edgedistil.export.all import export_all
from edgedistil.export.calibration import choose_rows
from edgedistil.export.forms import Form
from edgedistil.export.making import QUANTISERS, Calibrating, Job, Ready
from edgedistil.export.parity import logits_of
from edgedistil.export.search.meter import FileMeter
from edgedistil.export.targeting import Target, export_to_target
from edgedistil.hashing import hash_file
from edgedistil.progress import SilentProgress
from edgedistil.quantise.ranges import Ranges
from edgedistil.quantise.scaling import scale_inputs
from edgedistil.quantise.smooth import smooth
from edgedistil.tasks import get_task

FORMATS = ["onnx-int8", "onnx-int8-static", "onnx-int4"]


@pytest.fixture(scope="module")
def rough(world):
    """Returns the same function with outliers: some values are large, and the weights that read them small."""
    model = copy.deepcopy(world.model)
    attention = model.encoder.layers[0].attention
    with torch.no_grad():
        attention.value.weight[:3] *= 100.0
        attention.value.bias[:3] *= 100.0
        attention.output.weight[:, :3] /= 100.0
    return model


@pytest.fixture(scope="module")
def rows(world):
    return choose_rows(world.evaluation, 32, 0)


def ready(model, world) -> Ready:
    return Ready(model, Ranges({}), predict_logits(model, world.evaluation), where_nearer=True)


def make(model, world, rows, folder: Path, other: Ready | None, formats=FORMATS):
    folder.mkdir()
    using = Calibrating(rows, reduce_range=False, folder=folder, ready=other)
    reference = predict_logits(model, world.evaluation)
    made = export_all(model, formats, [32], world.evaluation, reference, folder, calibrating=using)
    return {file.format: file for file in made}


def test_outliers_are_smoothed_away_where_the_file_is_then_nearer(rough, world, rows, tmp_path: Path):
    reference = predict_logits(rough, world.evaluation)
    smoothed = smooth(rough, rows)[0]
    made = make(rough, world, rows, tmp_path / "either", ready(smoothed, world))
    plain = make(rough, world, rows, tmp_path / "plain", None)
    always = make(rough, world, rows, tmp_path / "always", replace(ready(smoothed, world), where_nearer=False))
    assert made["onnx-int4"].form is None
    assert hash_file(made["onnx-int4"].path) == hash_file(plain["onnx-int4"].path)
    for name in FORMATS[:2]:
        form = made[name].form
        for found, files in ((form.plain, plain), (form.smoothed, always)):
            apart = np.abs(logits_of(files[name].path, name, world.evaluation, len(reference)) - reference).mean()
            assert found == pytest.approx(apart, rel=1e-6)
        assert form.smoothed < 0.9 * form.plain
        assert form.smooth
        assert made[name].failure is None
        assert hash_file(made[name].path) == hash_file(always[name].path)
    assert not list((tmp_path / "either").glob(".*"))


def test_a_model_that_smoothing_harms_is_quantised_as_it_is(world, rows, tmp_path: Path):
    # Inverse smoothing: a few channels made outliers, and their weights small.
    scale = torch.ones(world.model.config.hidden_size)
    scale[:3] = 100.0
    names = [f"encoder.layers.0.attention.{name}" for name in ("query", "key", "value")]
    worse = scale_inputs(world.model, dict.fromkeys(names, scale))
    with torch.no_grad():
        for name in names:
            worse.get_submodule(name).weight.div_(scale)
    made = make(world.model, world, rows, tmp_path / "either", ready(worse, world))
    plain = make(world.model, world, rows, tmp_path / "plain", None)
    for name in FORMATS[:2]:
        assert made[name].form.plain < made[name].form.smoothed
        assert not made[name].form.smooth
        assert hash_file(made[name].path) == hash_file(plain[name].path)


def test_the_form_that_ships_is_the_file_that_was_compared(
    rough, world, rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    written = []
    usual = QUANTISERS["onnx-int8"]

    def write(job: Job, target: Path, keep: Sequence[str]) -> None:
        written.append(target.name)
        usual.write(job, target, keep)

    monkeypatch.setitem(QUANTISERS, "onnx-int8", replace(usual, write=write))
    made = make(rough, world, rows, tmp_path / "either", ready(smooth(rough, rows)[0], world), ["onnx-int8"])

    assert len(written) == 2
    assert made["onnx-int8"].path.is_file()
    assert made["onnx-int8"].path.name not in written


@pytest.mark.parametrize(
    ("form", "smooth"),
    [
        (Form(1.0, 0.89), True),
        (Form(1.0, 0.91), False),
        (Form(float("inf"), 0.5), True),
        (Form(0.5, float("inf")), False),
        (Form(float("inf"), float("inf")), False),
    ],
)
def test_smoothing_must_gain_a_tenth_and_a_file_that_does_not_run_is_never_the_nearer(form: Form, smooth: bool):
    assert form.smooth == smooth


def test_a_target_is_searched_for_in_the_nearer_form(rough, world, rows, tmp_path: Path):
    reference = predict_logits(rough, world.evaluation)
    given = world.evaluation
    evaluation = EvaluationSet(given.input_ids, given.offsets, reference.argmax(1), given.ids)
    task = get_task("text-classification")
    meter = partial(FileMeter, task=task, labels=["negative", "positive"], examples=evaluation)
    using = Calibrating(rows, reduce_range=False, folder=tmp_path, ready=ready(smooth(rough, rows)[0], world))
    files, log = export_to_target(
        rough, ["onnx-int8-static"], [32], evaluation, reference, tmp_path, Target(0.2, meter), SilentProgress(), using
    )
    (file,) = files
    assert file.form.smooth
    assert file.failure is None
    assert [(trial.kept, trial.holds) for trial in log.trials] == [((), True)]
    whole = make(rough, world, rows, tmp_path / "whole", ready(smooth(rough, rows)[0], world), ["onnx-int8-static"])
    assert hash_file(file.path) == hash_file(whole["onnx-int8-static"].path)
