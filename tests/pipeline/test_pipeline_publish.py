"""What lies in a run's folder: the last results, whatever was run before, and no score is lost on the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_bundle import make_bundle
from weighing import WeighingDevice

from edgedistil.bench.cases import cases_of
from edgedistil.bench.measurement import Accuracy, Measurement, read_measurements, write_measurements
from edgedistil.bundle import FileFacts
from edgedistil.bundle.read import open_bundle
from edgedistil.errors import EdgeDistilError
from edgedistil.hashing import hash_file
from edgedistil.pipeline.cache import Finished
from edgedistil.pipeline.publish import publish

RECIPE = {"name": "tiny"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[Measurement]:
    bundle = make_bundle(tmp_path_factory.mktemp("measured"))
    score = Accuracy(value=0.8, low=0.376, high=0.964, examples=5)
    cases = cases_of(bundle, 1, 8)
    return [
        one.model_copy(update={"sha256": hash_file(case.path), "accuracy": score, "instructions": {"total": 1000}})
        for one, case in zip(WeighingDevice().bench(cases).measurements, cases, strict=True)
    ]


def finished(folder: Path, name: str, seconds: float = 1.0) -> Finished:
    folder.mkdir(parents=True, exist_ok=True)
    made = Finished(folder, name, "k" * 64, 1, seconds)
    made.record.write_text(json.dumps({"name": name, "key": made.key, "seconds": seconds}), encoding="utf-8")
    return made


def exported(folder: Path) -> Finished:
    unscored = {"onnx/model.onnx": FileFacts("onnx-fp32"), "onnx/model_quantized.onnx": FileFacts("onnx-int8")}
    make_bundle(folder, facts=unscored)
    return finished(folder, "export")


def benched(folder: Path, made: list[Measurement], seconds: float = 1.0) -> Finished:
    done = finished(folder, "bench", seconds)
    write_measurements(folder / "measurements.jsonl", made)
    return done


def test_a_bench_that_is_done_anew_is_what_lies_there(tmp_path: Path, measured: list[Measurement]) -> None:
    export, run = exported(tmp_path / "export"), tmp_path / "runs"
    publish(run, {"export": export, "bench": benched(tmp_path / "bench", measured)}, RECIPE)
    anew = [one.model_copy(update={"instructions": {"total": 77}}) for one in measured]
    found = publish(run, {"export": export, "bench": benched(tmp_path / "bench", anew, seconds=2.0)}, RECIPE)
    assert [one.instructions for one in found.measurements] == [{"total": 77}] * len(measured)
    assert [one.instructions for one in read_measurements(run / "measurements.jsonl")] == [{"total": 77}] * len(
        measured
    )


@pytest.mark.parametrize("own", [True, False])
def test_scores_of_these_very_files_outlive_a_run_that_stops_before_the_bench(
    tmp_path: Path, measured: list[Measurement], own: bool
) -> None:
    export, run = exported(tmp_path / "export"), tmp_path / "runs"
    made = measured if own else [one.model_copy(update={"sha256": "0" * 64}) for one in measured]
    publish(run, {"export": export, "bench": benched(tmp_path / "bench", made)}, RECIPE)
    bundle = publish(run, {"export": export}, RECIPE).bundle
    scores = {file.format: file.accuracy for file in open_bundle(bundle.folder).manifest.files if file.format}
    assert all((score is not None) is own for score in scores.values())


def test_results_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(EdgeDistilError) as caught:
        publish(tmp_path / "runs" / "tiny", {"export": exported(tmp_path / "export")}, RECIPE)
    assert caught.value.line() == (
        f"{tmp_path}/runs/tiny: cannot write the run's results (Not a directory); "
        "free space or make it writable, and run the same command again; its stages are kept"
    )


def test_a_disk_that_is_full_is_said_once_for_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise shutil.Error([(source, target, f"[Errno 28] No space left on device: '{source}' -> '{target}'")] * 2)

    export = exported(tmp_path / "export")
    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(EdgeDistilError, match=r"run's results \(\[Errno 28\] No space left on device\); free space"):
        publish(tmp_path / "runs" / "tiny", {"export": export}, RECIPE)


@pytest.mark.parametrize("stamp", ["", "[]", "{}", '{"stamp": 1}'])
def test_a_stamp_that_is_damaged_is_written_anew(tmp_path: Path, stamp: str) -> None:
    export, run = exported(tmp_path / "export"), tmp_path / "runs"
    publish(run, {"export": export}, RECIPE)
    whole = (run / ".published.json").read_text(encoding="utf-8")
    (run / ".published.json").write_text(stamp, encoding="utf-8")
    publish(run, {"export": export}, RECIPE)
    assert (run / ".published.json").read_text(encoding="utf-8") == whole


def test_what_is_there_already_is_left_alone(
    tmp_path: Path, measured: list[Measurement], monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = {"export": exported(tmp_path / "export"), "bench": benched(tmp_path / "bench", measured)}
    publish(tmp_path / "runs", stages, RECIPE)
    refuse: Callable[..., None] = lambda *_: pytest.fail("written again")  # noqa: E731
    monkeypatch.setattr("edgedistil.pipeline.publish._replace", refuse)
    publish(tmp_path / "runs", stages, RECIPE)
