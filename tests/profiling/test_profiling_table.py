from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner
from weighing import WeighingDevice

from edgedistil.bench.latency import Setting, Shape, read_table, write_table
from edgedistil.bench.latency_fit import Design
from edgedistil.cli.main import app
from edgedistil.devices.profile import DeviceProfile, Kind, register
from edgedistil.errors import UsageError
from edgedistil.models import EdgeBertConfig, EdgeBertForSequenceClassification, save_model
from edgedistil.profiling.files import build_model, export_as
from edgedistil.profiling.measure import file_megabytes, measure_models
from edgedistil.profiling.table import make_table, shape_of, table_for
from edgedistil.prune import FileSize, Latency
from edgedistil.prune.costs import model_cost

SHAPE = Shape(layers=2, hidden_size=64, head_size=16, heads=4, ffn=256)
SETTING = Setting(format="onnx-fp32", threads=1, sequence_length=8, shape=SHAPE)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class AnewError(Exception):
    """A table was about to be measured."""


def fail(*_: object, **__: object) -> None:
    raise AnewError


def test_a_table_predicts_models_it_never_saw_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = WeighingDevice()
    table = table_for(device, SETTING, tmp_path)
    assert table.unit == "instructions"
    assert sum(probe.held_out for probe in table.probes) == 3
    assert table.held_out_error < 0.02
    per_head = (table.attention.costs[-1] - table.attention.costs[1]) / 3
    assert per_head == pytest.approx(4 * (4 * 64 + 3) * 16, rel=0.05)
    (path,) = tmp_path.glob("*.json")
    assert read_table(path) == table
    made = len(device.benched)
    assert table_for(device, SETTING, tmp_path) == table
    assert device.benched[made:] == [1]
    anew = pytest.raises(AnewError)
    monkeypatch.setattr("edgedistil.profiling.table.make_table", fail)
    with anew:
        table_for(WeighingDevice("2.0"), SETTING, tmp_path)
    with anew:
        table_for(device, SETTING.model_copy(update={"sequence_length": 4}), tmp_path)
    with anew:
        table_for(device, SETTING, tmp_path, fresh=True)
    with monkeypatch.context() as changed, anew:
        changed.setattr("edgedistil.profiling.table.exporter_changes", lambda name: 1)
        table_for(device, SETTING, tmp_path)
    (tmp_path / "scales-onnx-fp32-0.json").write_text('{"table_version": 1, "dev')
    assert table_for(device, SETTING, tmp_path) == table

    config = EdgeBertConfig(
        vocab_size=512, hidden_size=64, head_size=16, heads=[4, 2], ffn=[256, 64], max_position_embeddings=8
    )
    model = EdgeBertForSequenceClassification(config).eval()
    (measured,) = measure_models(WeighingDevice(), SETTING, [model])
    assert model_cost(Latency(table), config) == pytest.approx(measured, rel=0.02)


@pytest.mark.parametrize("name", ["onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"])
def test_the_size_of_a_file_is_foretold(name: str) -> None:
    config = EdgeBertConfig(vocab_size=4000, hidden_size=192, head_size=32, heads=[6, 1], ffn=[768, 320])
    model = EdgeBertForSequenceClassification(config).eval()
    for parameter in model.parameters():
        # Weights that are equal, as fresh biases are, may be stored once.
        torch.nn.init.normal_(parameter)
    lengths = (8, 16)
    (megabytes,) = file_megabytes(SETTING.model_copy(update={"format": name}), [model], lengths)
    assert model_cost(FileSize(name, lengths=lengths), config) == pytest.approx(megabytes, rel=0.005)


def test_a_shape_is_the_models_own() -> None:
    found = shape_of(EdgeBertConfig(hidden_size=64, head_size=16, heads=[4, 4], ffn=[256, 256]))
    assert found == SHAPE


def test_a_file_that_was_being_written_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest model, which tells the runtime's version, is kept; not where writing it ended half way."""
    device = WeighingDevice()
    table = make_table(device, SETTING)
    write_table(table, tmp_path / f"scales-onnx-fp32-{table.key}.json")

    def killed(_design: Design, _setting: Setting, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    interrupted = pytest.raises(KeyboardInterrupt)
    with monkeypatch.context() as changed, interrupted:
        changed.setattr("edgedistil.profiling.table.make_file", killed)
        table_for(device, SETTING, tmp_path)
    assert table_for(device, SETTING, tmp_path) == table
    assert all(path.read_bytes() != b"half" for path in tmp_path.glob("files/*"))


def test_a_device_without_the_runtime_is_refused(tmp_path: Path) -> None:
    device = WeighingDevice()
    device.profile = device.profile.model_copy(update={"runtimes": ["litert"]})
    with pytest.raises(UsageError, match="scales: runs no onnxruntime, which onnx-fp32 needs"):
        table_for(device, SETTING, tmp_path)
    with pytest.raises(UsageError, match=r"unknown format 'onnx-int9'; did you mean 'onnx-int8'\?"):
        table_for(device, SETTING.model_copy(update={"format": "onnx-int9"}), tmp_path)


@pytest.mark.parametrize(("first", "head"), [(True, "sequence"), (False, "token")])
def test_models_that_are_measured_look_at_as_many_tokens_as_those_that_ship(
    tmp_path: Path, first: bool, head: str
) -> None:
    setting = SETTING.model_copy(update={"shape": SHAPE.model_copy(update={"first_token": first})})
    made = build_model(Design((2, 1), (64, 32)), setting)
    assert made.config.head == head
    assert shape_of(made.config).first_token == first
    export_as(made, setting, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size > 0


def test_the_command_measures_a_table_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGEDISTIL_CACHE", raising=False)
    register("weighing", Kind(DeviceProfile, lambda profile: WeighingDevice(profile=profile)))
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "scales.yaml").write_text("kind: weighing\n", encoding="utf-8")
    config = EdgeBertConfig(vocab_size=50, hidden_size=32, head_size=16, heads=[2], ffn=[64])
    save_model(EdgeBertForSequenceClassification(config), tmp_path / "model")
    command = ["profile", "scales", "--shape", "model", "--format", "onnx-fp32", "--sequence-length", "8"]
    refused = CliRunner().invoke(app, [*command, "--picture", "model"])
    assert isinstance(refused.exception, UsageError)
    assert refused.exception.line() == "model: is a folder; name a file"
    assert not (tmp_path / ".edgedistil").exists()
    shown = CliRunner().invoke(app, [*command, "--json", "--picture", "out/table.svg"])
    assert shown.exit_code == 0, shown.output
    (table,) = json.loads(shown.stdout)
    assert table["setting"]["shape"]["heads"] == 2
    assert (tmp_path / "out" / "table.svg").is_file()
    (kept,) = (tmp_path / ".edgedistil" / "latency").glob("scales-onnx-fp32-*.json")
    assert read_table(kept).rest == table["rest"]
