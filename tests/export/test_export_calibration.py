from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.export import calibration as module
from edgedistil.export.calibration import Calibration, calibrate, check_rows, choose_rows
from edgedistil.export.range_methods import METHODS

TENSOR = "/model/encoder/embeddings/norm/LayerNormalization_output_0"


def rows_of(*texts: list[int], kind: str = "class") -> EvaluationSet:
    ids = np.concatenate([np.asarray(text) for text in texts])
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])])
    return EvaluationSet(ids, offsets, np.zeros(len(texts)), [str(n) for n in range(len(texts))], kind)


def test_minmax_reaches_exactly_as_far_as_what_was_seen(world):
    (low, high) = calibrate(world.files["onnx-fp32"], [TENSOR], world.evaluation, "minmax").ranges[TENSOR]
    norm = world.model.encoder.embeddings.norm
    assert low < 0 < high
    assert high <= norm.weight.abs().max().item() * np.sqrt(64) + norm.bias.abs().max().item()


@pytest.mark.parametrize("method", list(METHODS))
def test_no_method_reaches_further_than_minmax_and_each_holds_zero(world, method: str):
    source, rows = world.files["onnx-fp32"], choose_rows(world.evaluation, 8, 1)
    widest = calibrate(source, [TENSOR], rows, "minmax").ranges[TENSOR]
    low, high = calibrate(source, [TENSOR], rows, method).ranges[TENSOR]
    assert widest[0] - 1e-5 <= low <= 0 <= high <= widest[1] + 1e-5
    assert high - low > 0.2 * (widest[1] - widest[0])


def test_a_calibration_is_kept_and_used_again_for_the_same_file_rows_and_method_alone(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source, rows, kept = world.files["onnx-fp32"], choose_rows(world.evaluation, 4, 0), tmp_path / "ranges.json"
    made = calibrate(source, [TENSOR], rows, saved=kept)
    assert Calibration.load(kept) == made
    assert json.loads(kept.read_text())["examples"] == 4

    def no_run(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(module, "_runner", no_run)
    assert calibrate(source, [TENSOR], rows, saved=kept) == made
    for changed in ({"rows": choose_rows(world.evaluation, 4, 1)}, {"method": "entropy"}):
        with pytest.raises(AssertionError):
            calibrate(**{"source": source, "tensors": [TENSOR], "rows": rows, "saved": kept, **changed})


def test_rows_are_drawn_by_the_seed(world):
    first, again, other = (choose_rows(world.evaluation, 10, seed) for seed in (3, 3, 4))
    assert first.ids.tolist() == again.ids.tolist() != other.ids.tolist()
    assert len(set(first.ids.tolist())) == 10
    where = world.evaluation.ids.tolist().index(first.ids[7])
    assert first.tokens(7).tolist() == world.evaluation.tokens(where).tolist()
    assert first.labels[7] == world.evaluation.labels[where]
    assert len(choose_rows(world.evaluation, 10_000, 0)) == len(world.evaluation)


def test_rows_that_tell_nothing_of_the_task_are_one_line(world, tmp_path: Path):
    with pytest.raises(UsageError, match=r"^quantise: calibration has no text; give rows"):
        check_rows(None)
    with pytest.raises(UsageError, match="no calibration text has a word in it"):
        check_rows(rows_of([2, 3], [2, 3]))
    values = rows_of([2, 7, 3], kind="value")
    with pytest.raises(UsageError, match="rows are of the kind 'value', the model's task is of the kind 'class'"):
        check_rows(values, world.evaluation)
    with pytest.raises(UsageError, match="unknown calibration 'max'; did you mean 'minmax'"):
        calibrate(world.files["onnx-fp32"], [TENSOR], world.evaluation, "max")
    with pytest.raises(UsageError, match=r"row 1 cannot be run .*; calibrate on text encoded by the model's"):
        calibrate(world.files["onnx-fp32"], [TENSOR], rows_of([2, 60_000, 3]))
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    with pytest.raises(UsageError, match="holds no calibration"):
        Calibration.load(broken)
    with pytest.raises(EdgeDistilError, match="cannot be calibrated"):
        calibrate(world.files["onnx-fp32"], ["nothing"], world.evaluation)
