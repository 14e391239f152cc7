"""A pattern reported on a model's folder: zeros and sizes are real, the device weighs files instead of timing them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from weighing import WeighingDevice

from edgedistil.errors import UsageError
from edgedistil.models import EdgeBertConfig, EdgeBertForSequenceClassification, save_model
from edgedistil.pipeline.patterns import PatternReport, report_pattern
from edgedistil.progress import SilentProgress
from edgedistil.prune.pattern import Partition


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = EdgeBertConfig(vocab_size=60, hidden_size=64, head_size=16, heads=[4], ffn=[256])
    place = tmp_path_factory.mktemp("model")
    save_model(EdgeBertForSequenceClassification(config).eval(), place)
    return place


def report(folder: Path, formats: tuple[str, ...] = ("onnx-fp32",), tokens: int = 16) -> PatternReport:
    return report_pattern(folder, Partition(16, 8), 0.5, formats, WeighingDevice(), 1, tokens, SilentProgress())


def test_a_smaller_download_and_no_gain_in_the_runtime(folder: Path) -> None:
    found = report(folder)
    (made,) = found.results
    assert made.sparsity == pytest.approx(0.5)
    assert made.compressed < 0.85 * made.compressed_dense
    assert made.line().endswith("no gain here (1.00x)")
    assert found.score is None


def test_what_cannot_be_reported_on_is_one_line(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"--format: unknown format 'onnx-int9'; did you mean 'onnx-int8'\?"):
        report(folder, ("onnx-int9",))
    with pytest.raises(UsageError, match=r"no such folder; give a bundle or a model's folder"):
        report(folder / "nowhere")
    with pytest.raises(UsageError, match=r"--sequence-length: the model takes at most 512 tokens"):
        report(folder, tokens=513)


def test_a_bundle_that_was_changed_is_refused_before_anything_is_measured(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgedistil.pipeline.patterns.load_model", lambda _: pytest.fail("opened"))
    shutil.copytree(folder, tmp_path / "bundle")
    (tmp_path / "bundle" / "edgedistil.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="no 'schema_version' in it"):
        report(tmp_path / "bundle")
