from __future__ import annotations

from pathlib import Path

import pytest
from tiny_bundle import make_bundle

from edgedistil.errors import UsageError
from edgedistil.models import EdgeBertConfig, EdgeBertForSequenceClassification, save_model
from edgedistil.pipeline.latency_tables import settings_of


def test_a_models_folder_gives_its_shape(tmp_path: Path) -> None:
    config = EdgeBertConfig(vocab_size=50, hidden_size=24, head_size=6, heads=[4, 2], ffn=[40, 8])
    save_model(EdgeBertForSequenceClassification(config), tmp_path)
    (setting,) = settings_of(tmp_path, [], 2, None).settings
    assert (setting.format, setting.threads, setting.sequence_length) == ("tflite-int8", 2, 128)
    assert (setting.shape.layers, setting.shape.heads, setting.shape.ffn) == (2, 4, 40)
    two = settings_of(tmp_path, ["onnx-int8", "onnx-fp32"], 1, 32).settings
    assert [each.format for each in two] == ["onnx-int8", "onnx-fp32"]
    assert {each.sequence_length for each in two} == {32}


@pytest.mark.parametrize(("bench", "length"), [({"sequence_length": 64}, 32), ({"sequence_length": 16}, 16), ({}, 32)])
def test_a_bundle_is_profiled_at_the_length_it_was_measured_at(
    tmp_path: Path, bench: dict[str, int], length: int
) -> None:
    config = EdgeBertConfig(vocab_size=50, hidden_size=24, head_size=6, heads=[4], ffn=[40])
    bundle = make_bundle(tmp_path, recipe={"name": "tiny", "bench": bench}, max_length=32)
    save_model(EdgeBertForSequenceClassification(config), bundle.folder / "pytorch")
    (setting,) = settings_of(bundle.folder, [], 1, None).settings
    assert setting.sequence_length == length


def test_what_cannot_be_profiled_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such recipe or folder; give a recipe, a bundle or a model"):
        settings_of(tmp_path / "none", [], 1, None)
    with pytest.raises(UsageError, match=r"no config.json in the checkpoint"):
        settings_of(tmp_path, [], 1, None)
    save_model(EdgeBertForSequenceClassification(EdgeBertConfig(vocab_size=9, hidden_size=8, head_size=4)), tmp_path)
    (tmp_path / "edgedistil.json").write_text("[]")
    with pytest.raises(UsageError, match=r"edgedistil\.json: "):
        settings_of(tmp_path, [], 1, None)
    with pytest.raises(UsageError, match=r"--format: unknown format 'tflite-int4'; did you mean 'tflite-int8'\?"):
        settings_of(tmp_path, ["tflite-int4"], 1, None)
