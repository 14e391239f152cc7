from __future__ import annotations

import pytest
import torch

from edgedistil.distil.evaluate import predict_logits
from edgedistil.errors import UsageError
from edgedistil.quantise.prepare import Config, calibrate, prepare, ranges_of, set_ranges, strip
from edgedistil.quantise.ranges import Ranges

EVERYTHING = Config(operands=True, outputs=True)


def test_a_stripped_model_is_the_plain_one_and_its_ranges_hold_what_was_seen(model, rows):
    plain = predict_logits(model, rows)
    seen: list[torch.Tensor] = []
    prepared = prepare(model, EVERYTHING)
    model.encoder.layers[0].ffn.down.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    predict_logits(model, rows)
    calibrate(prepared, rows)
    rounded = predict_logits(prepared, rows)
    assert 0.001 < abs(rounded - plain).max() < 0.2 * plain.std() + 0.5
    stripped, ranges = strip(prepared)
    assert set(stripped.state_dict()) == set(model.state_dict())
    assert (predict_logits(stripped, rows) == plain).all()
    values = torch.cat([one.flatten() for one in seen])
    assert ranges.inputs["encoder.layers.0.ffn.down"] == pytest.approx((float(values.min()), float(values.max())))


def test_layers_that_read_one_tensor_have_one_range_and_layers_without_heads_none(model, rows):
    prepared = prepare(model, EVERYTHING)
    calibrate(prepared, rows)
    ranges = ranges_of(prepared)
    stem = "encoder.layers.0.attention"
    assert ranges.inputs[f"{stem}.query"] == ranges.inputs[f"{stem}.key"] == ranges.inputs[f"{stem}.value"]
    assert ranges.outputs[f"{stem}.query"] != ranges.outputs[f"{stem}.key"]
    assert not [name for name in ranges.inputs if name.startswith("encoder.layers.1.attention")]
    assert {name.split(":")[0] for name in ranges.operands} == {stem, "encoder.layers.2.attention"}
    low, high = ranges.operands[f"{stem}:probabilities"]
    assert low == 0.0
    assert 0.1 < high <= 1.0


def test_ranges_found_elsewhere_give_the_same_rounded_model(model, rows, tmp_path):
    prepared = prepare(model, EVERYTHING)
    calibrate(prepared, rows)
    ranges_of(prepared).save(tmp_path / "ranges.json")
    again = prepare(model, EVERYTHING)
    set_ranges(again, Ranges.load(tmp_path / "ranges.json"))
    assert (predict_logits(again, rows) == predict_logits(prepared, rows)).all()


def test_skipped_layers_stay_in_floating_point(model, rows):
    config = Config(skip=("encoder.layers.0", "classifier"))
    prepared = prepare(model, config)
    calibrate(prepared, rows)
    names = set(ranges_of(prepared).inputs)
    assert "classifier" not in names
    assert "pre_classifier" in names
    assert not [name for name in names if name.startswith("encoder.layers.0.")]
    with pytest.raises(KeyError, match=r"layers\.7"):
        prepare(model, Config(skip=("encoder.layers.7",)))


@pytest.mark.parametrize("text", ["", "[]", '{"inputs": {"a": [1, 2]}, "operands": {}, "outputs": {}}'])
def test_a_file_without_ranges_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "ranges.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"no ranges can be read from it .*; calibrate again"):
        Ranges.load(path)
