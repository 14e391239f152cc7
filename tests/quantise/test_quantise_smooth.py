from __future__ import annotations

import numpy as np
import pytest
import torch

from edgedistil.distil.evaluate import predict_logits
from edgedistil.errors import UsageError
from edgedistil.quantise.prepare import Config, calibrate, prepare, ranges_of
from edgedistil.quantise.scaling import ScaledLinear
from edgedistil.quantise.smooth import smooth
from edgedistil.quantise.store import load_ready, save_ready


def test_a_smoothed_model_computes_the_same_and_its_planted_outliers_are_gone(model, rows):
    exact = predict_logits(model, rows)
    smoothed, done = smooth(model, rows)
    np.testing.assert_allclose(predict_logits(smoothed, rows), exact, atol=2e-4)
    planted = next(one for one in done if one.layers == ("encoder.layers.0.ffn.up",))
    assert planted.gain > 0.5
    assert planted.spread[1] < 0.5 * planted.spread[0]


def test_a_smoothed_layer_is_rounded_with_less_error(model, rows):
    exact = _after_a_layer(model, rows)
    errors = []
    for one in (model, smooth(model, rows)[0]):
        prepared = prepare(one, Config("fixed"))
        calibrate(prepared, rows)
        errors.append(float((_after_a_layer(prepared, rows) - exact).square().mean()))
    assert errors[1] < 0.7 * errors[0]


def _after_a_layer(model, rows):
    ids, mask = rows.batch(range(16), 16)
    with torch.no_grad():
        return model.encoder(torch.from_numpy(ids), torch.from_numpy(mask), output_hidden_states=True).hidden_states[1]


def test_norms_and_residuals_are_left_alone_and_attention_s_output_costs_no_multiplication(model, rows):
    smoothed, done = smooth(model, rows, least_gain=-1.0)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            assert torch.equal(parameter, smoothed.get_parameter(name))
    kinds = {name: type(module) for name, module in smoothed.named_modules()}
    assert kinds["encoder.layers.0.attention.output"] is torch.nn.Linear
    assert kinds["encoder.layers.0.attention.query"] is ScaledLinear
    folded = [one for one in done if one.folded and one.alpha is not None]
    assert folded
    assert not torch.equal(
        model.encoder.layers[0].attention.output.weight, smoothed.encoder.layers[0].attention.output.weight
    )


def test_a_multiplication_that_pays_too_little_is_left_out(model, rows):
    smoothed, done = smooth(model, rows, least_gain=1.0)
    assert not [module for module in smoothed.modules() if isinstance(module, ScaledLinear)]
    assert all(one.alpha is None or one.folded for one in done)


def test_what_is_ready_comes_back_from_its_folder(model, rows, tmp_path):
    smoothed, _ = smooth(model, rows)
    prepared = prepare(smoothed)
    calibrate(prepared, rows)
    save_ready(smoothed, ranges_of(prepared), tmp_path)
    back, ranges = load_ready(tmp_path)
    assert (predict_logits(back, rows) == predict_logits(smoothed, rows)).all()
    assert ranges == ranges_of(prepared)
    (tmp_path / "scaling.safetensors").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"scaling\.safetensors: it cannot be read .*; smooth the model again"):
        load_ready(tmp_path)
