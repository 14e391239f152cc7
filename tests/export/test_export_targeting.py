from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from ai_edge_litert.tools import flatbuffer_utils
from onnx import numpy_helper

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.evaluate import predict_logits
from edgedistil.errors import EdgeDistilError
from edgedistil.export import targeting
from edgedistil.export.all import export_all
from edgedistil.export.calibration import choose_rows
from edgedistil.export.making import Calibrating, Ready
from edgedistil.export.parity import ParityError
from edgedistil.export.search.engine import NothingHoldsError
from edgedistil.export.search.meter import FileMeter
from edgedistil.export.targeting import Target, export_to_target
from edgedistil.models import take_layers
from edgedistil.progress import SilentProgress
from edgedistil.quantise.prepare import Config, calibrate, prepare, strip
from edgedistil.quantise.ranges import scale_and_zero
from edgedistil.quantise.smooth import smooth
from edgedistil.tasks import get_task


class Worse:
    """A meter to which every quantised file has lost half."""

    def statistics(self, path: Path) -> np.ndarray:
        return np.array([[1.0 if path.name == "model.onnx" else 0.5, 1.0]] * 4)

    def probe(self, path: Path) -> np.ndarray:
        return np.zeros(1)

    def metric_of(self, sums: np.ndarray) -> np.ndarray:
        return sums[..., 0] / sums[..., 1]


def export(world, formats: list[str], folder: Path, target: Target, calibrating: Calibrating | None = None):
    return export_to_target(
        world.model, formats, [16], world.evaluation, world.reference, folder, target, SilentProgress(),
        calibrating or Calibrating(),
    )  # fmt: skip


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_every_format_is_brought_to_its_target_and_checked(world, tmp_path: Path):
    rows = world.evaluation
    # Labelled with what the model answers, so that whatever quantising changes is a loss.
    own = EvaluationSet(rows.input_ids, rows.offsets, world.reference.argmax(1), rows.ids)
    task = get_task("text-classification")
    meter = partial(FileMeter, task=task, labels=["negative", "positive"], examples=own)
    files, log = export(world, ["onnx-int4", "onnx-int8"], tmp_path, Target(0.02, meter))
    assert [(file.format, file.failure) for file in files] == [("onnx-int4", None), ("onnx-int8", None)]
    assert log.trials[0].scheme == "onnx-int4"
    assert log.reference == {"onnx-int4": 1.0, "onnx-int8": 1.0}
    shipped = {trial.scheme: trial for trial in log.trials if trial.holds}
    for file in files:
        lost = 1 - meter("onnxruntime").statistics(file.path)[:, 0].mean()
        assert lost == pytest.approx(shipped[file.format].drop)
        assert lost <= 0.02
    # Its fp32 file, which nobody asked for, is gone with every trial.
    assert files_in(tmp_path) == {"model_quantized.onnx", "model_weight_only_wi4_afp32.onnx"}


def test_what_misses_its_target_ships_only_where_that_is_asked_for(world, tmp_path: Path):
    with pytest.raises(NothingHoldsError) as caught:
        export(world, ["onnx-fp32", "onnx-int8"], tmp_path, Target(0.01, lambda _: Worse()))
    assert caught.value.line() == (
        "quantise.max_drop: no scheme keeps the score within 0.01 of fp32's 1.0000; the nearest is onnx-int8, 0.5000 "
        "below; allow 0.5, ask for another scheme, or ship fp32, or set quantise.ship_anyway: true"
    )
    meters = {"onnxruntime": Worse()}
    files, log = export(world, ["onnx-fp32", "onnx-int8"], tmp_path, Target(0.01, meters.__getitem__, ship_anyway=True))
    assert [(file.format, file.failure) for file in files] == [("onnx-fp32", None), ("onnx-int8", None)]
    assert not any(trial.holds for trial in log.trials)
    assert files_in(tmp_path) == {"model.onnx", "model_quantized.onnx"}


def test_of_those_that_miss_the_nearest_that_passes_parity_ships(world, tmp_path: Path, monkeypatch):
    right, refused = targeting.check_file_at, []

    def first_is_refused(path: Path, *rest):
        if not refused:
            refused.append(path.read_bytes())
            raise ParityError("it differs", where="ONNX int8")
        return right(path, *rest)

    monkeypatch.setattr(targeting, "check_file_at", first_is_refused)
    (file,), _ = export(world, ["onnx-int8"], tmp_path, Target(0.01, lambda _: Worse(), ship_anyway=True))
    assert file.failure is None
    assert file.path.read_bytes() != refused[0]


def test_a_target_is_scored_in_the_runtime_asked_for(world, tmp_path: Path):
    asked = []

    def meter(runtime: str) -> Worse:
        asked.append(runtime)
        best = Worse()
        best.statistics = lambda path: np.array([[1.0, 1.0]] * 4)
        return best

    target = Target(0.01, meter, runtimes={"onnx-int8": "openvino"})
    _, log = export(world, ["onnx-int8", "onnx-int4"], tmp_path, target)
    assert sorted(asked) == ["onnxruntime", "openvino"]
    assert log.runtimes == {"onnx-int8": "openvino"}


def test_a_format_that_misses_is_left_out_where_another_holds(world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    half = Worse()
    half.statistics = lambda path: np.array([[0.5 if "int4" in path.read_bytes().decode("latin1") else 1.0, 1.0]] * 4)
    int4, int8 = export(world, ["onnx-int4", "onnx-int8"], tmp_path, Target(0.01, lambda _: half))[0]
    assert int8.failure is None
    assert int4.failure == (
        "ONNX int4: it loses more than quantise.max_drop (0.01); the nearest of what was tried is onnx-int4, 0.5000 "
        "below fp32"
    )


def test_a_file_that_keeps_the_score_and_is_far_from_pytorch_gives_back_layers_like_any_other(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    best = Worse()
    best.statistics = lambda path: np.array([[1.0, 1.0]] * 4)
    right, refused = targeting.check_file_at, []

    def whole_is_refused(path: Path, *rest):
        # Every matrix product of the whole file has integers, which no other file of the search is checked with.
        if not refused:
            refused.append(path)
            raise ParityError("it differs from PyTorch by up to 4.9 in a logit", where="ONNX int8")
        return right(path, *rest)

    monkeypatch.setattr(targeting, "check_file_at", whole_is_refused)
    (file,), log = export(world, ["onnx-int8"], tmp_path, Target(0.01, lambda _: best))
    whole, shipped = log.trials[0], next(trial for trial in log.trials if trial.holds)
    assert (whole.drop, whole.holds, whole.fault) == (0.0, False, "it differs from PyTorch by up to 4.9 in a logit")
    assert shipped.kept
    assert file.failure is None
    assert file.parity is not None


def test_a_format_that_does_not_run_is_left_out_with_the_reason_and_the_others_ship(world, tmp_path: Path):
    class Broken(Worse):
        def statistics(self, path: Path) -> np.ndarray:
            if "int4" in path.read_bytes().decode("latin1"):
                raise EdgeDistilError("cannot be opened (no kernel)", where=str(path))
            return np.array([[1.0, 1.0]] * 4)

    target = Target(0.01, lambda _: Broken(), ship_anyway=True)
    int4, int8 = export(world, ["onnx-int4", "onnx-int8"], tmp_path, target)[0]
    assert (int4.failure, int8.failure) == ("ONNX int4: cannot be opened (no kernel)", None)
    with pytest.raises(NothingHoldsError) as caught:
        export(world, ["onnx-int4"], tmp_path, Target(0.01, lambda _: Broken()))
    assert caught.value.line() == (
        "quantise.max_drop: no scheme gives a file that can ship; onnx-int4: cannot be opened (no kernel); ask for "
        "another scheme, or ship fp32"
    )


def test_static_files_are_made_from_the_ready_model_with_its_ranges(world, tmp_path: Path):
    rows = choose_rows(world.evaluation, 32, 0)
    prepared = prepare(
        smooth(take_layers(world.model, [0]), rows)[0],
        Config("fixed", operands=True, outputs=True, skip=("classifier",)),
    )
    calibrate(prepared, rows)
    model, ranges = strip(prepared)
    ready = Ready(model, ranges, predict_logits(model, world.evaluation))
    formats = ["onnx-int8-static", "tflite-int8-static"]
    # The model itself is another: nothing of it is in static files.
    made = export_all(
        None, formats, [32], world.evaluation, np.zeros_like(world.reference), tmp_path,
        calibrating=Calibrating(rows, activations="uint8", reduce_range=False, ready=ready),
    )  # fmt: skip
    assert [(file.format, file.failure) for file in made] == [(name, None) for name in formats]
    assert len(files_in(tmp_path)) == 2
    scales = scales_of_onnx(made[0].path), scales_of_tflite(made[1].path)
    for name, found in ranges.inputs.items():
        holders = scales if name.endswith(("query", "attention.output", "up")) else scales[:1]
        for scale in holders:
            assert min(abs(one - scale_and_zero(found)[0]) for one in scale) < 1e-5 * scale_and_zero(found)[0], name


def scales_of_onnx(path: Path) -> list[float]:
    graph = onnx.load(str(path)).graph
    values = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    return [float(values[node.input[1]]) for node in graph.node if node.op_type == "QuantizeLinear"]


def scales_of_tflite(path: Path) -> list[float]:
    graph = flatbuffer_utils.read_model(str(path)).subgraphs[0]
    found = [tensor.quantization for tensor in graph.tensors if tensor.type == 9]
    return [float(one.scale[0]) for one in found if one is not None and one.scale is not None]
