from __future__ import annotations

import pytest

from edgedistil.distil.judge import Judgement
from edgedistil.errors import UsageError
from edgedistil.models import take_layers
from edgedistil.quantise import neural_compressor
from edgedistil.quantise.neural_compressor import autotune, calibrate_static
from edgedistil.quantise.prepare import Config, calibrate, prepare, ranges_of
from edgedistil.quantise.smooth import smooth


def test_without_the_extra_the_line_names_the_command(model, rows, monkeypatch):
    monkeypatch.setattr(neural_compressor.require.__globals__["importlib"].util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"neural_compressor is not installed; run: pip install 'edgedistil\[nc\]'"):
        calibrate_static(model, rows)


@pytest.mark.slow
def test_its_ranges_are_those_of_our_layers_smoothed_ones_too(model, rows):
    pytest.importorskip("neural_compressor")
    smoothed, _ = smooth(take_layers(model, [0]), rows)
    prepared = prepare(smoothed, Config("fixed"))
    calibrate(prepared, rows)
    ours = ranges_of(prepared).inputs
    found = calibrate_static(smoothed, rows, skip=["encoder.layers.0.ffn.up"])
    assert set(ours) - set(found.ranges.inputs) == {"encoder.layers.0.ffn.up"}
    for name, (low, high) in found.ranges.inputs.items():
        # Its ranges follow a moving average, and so lie within the least and greatest value.
        assert 0.3 < (high - low) / (ours[name][1] - ours[name][0]) < 1.01
        reach = smoothed.get_submodule(name).weight.detach().abs().amax(1)
        assert (reach / found.weight_scales[name]).tolist() == pytest.approx([127.5] * len(reach), rel=1e-4)


class Judge:
    """Gives the scores that it is told, in turn."""

    metric = "made up"

    def __init__(self, *scores: float) -> None:
        self.scores = iter(scores)

    def __call__(self, model, *, bf16):
        model(*(neural_compressor.torch.ones(2, 5, dtype=neural_compressor.torch.int64),) * 2)
        return Judgement(next(self.scores), 0.0)


@pytest.mark.slow
def test_autotune_stops_at_the_first_that_is_accurate_enough(model, rows):
    pytest.importorskip("neural_compressor")
    found = autotune(take_layers(model, [1]), rows, Judge(0.9, 0.5, 0.89), max_drop=0.05)
    assert found.baseline == 0.9
    assert found.tried == [{"algorithm": "minmax", "score": 0.5}, {"algorithm": "kl", "score": 0.89}]
    assert "encoder.layers.0.ffn.down" in found.ranges.inputs


@pytest.mark.slow
def test_autotune_may_lose_points_as_all_else_here_not_a_share_of_the_score(model, rows):
    pytest.importorskip("neural_compressor")
    found = autotune(take_layers(model, [1]), rows, Judge(0.5, 0.491), max_drop=0.01)
    assert found.tried == [{"algorithm": "minmax", "score": 0.491}]
