"""What lies in a run's folder: the last results, whatever was run before, and no score is lost on the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_bundle import make_bundle, make_details, make_model, make_sources
from weighing import WeighingDevice

from edgedistil.bench.cases import cases_of
from edgedistil.bench.measurement import Accuracy, Measurement, read_measurements, write_measurements
from edgedistil.bundle import FileFacts, write_bundle
from edgedistil.bundle.read import open_bundle
from edgedistil.errors import EdgeDistilError
from edgedistil.hashing import hash_file
from edgedistil.pipeline.cache import Finished
from edgedistil.pipeline.publish import publish
from edgedistil.pipeline.replacing import replace_folder

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


OTHER = {"name": "tiny", "gate": {"margin": 0.02}}


def test_what_a_person_has_put_into_a_bundle_stays_there(tmp_path: Path) -> None:
    export, run = exported(tmp_path / "export"), tmp_path / "runs"
    place = publish(run, {"export": export}, RECIPE).bundle.folder
    for name in ("LICENSE", ".git/config.json", "notes/one.md"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text("mine", encoding="utf-8")
    (place / "README.md").write_text("my card", encoding="utf-8")
    for recipe in (OTHER, RECIPE):
        assert publish(run, {"export": export}, recipe).bundle.manifest.recipe == recipe
        for name in ("LICENSE", ".git/config.json", "notes/one.md"):
            assert (place / name).read_text(encoding="utf-8") == "mine"
        assert (place / "README.md").read_text(encoding="utf-8") == "my card"
    (place / "onnx" / "other.onnx").write_bytes(b"x")
    publish(run, {"export": export}, RECIPE)
    assert not (place / "onnx" / "other.onnx").exists(), "no reader would have it there"
    assert not list(run.glob(".bundle*"))


def test_a_card_that_was_edited_stands_beside_that_of_other_files(tmp_path: Path) -> None:
    run, export = tmp_path / "runs", exported(tmp_path / "export")
    place = publish(run, {"export": export}, RECIPE).bundle.folder
    ours = (place / "README.md").read_text(encoding="utf-8")
    (place / "README.md").write_text("my card", encoding="utf-8")
    sources = make_sources(tmp_path / "sources")
    make_model(sources["onnx/model.onnx"], gain=2.0)
    write_bundle(tmp_path / "another" / "bundle", sources, make_details())
    publish(run, {"export": finished(tmp_path / "another", "export", 2.0)}, RECIPE)
    assert (place / "README.old.md").read_text(encoding="utf-8") == "my card"
    assert (place / "README.md").read_text(encoding="utf-8").partition("\n")[0] == ours.partition("\n")[0]


def test_a_card_that_was_not_edited_is_written_anew(tmp_path: Path, measured: list[Measurement]) -> None:
    export, run = exported(tmp_path / "export"), tmp_path / "runs"
    place = publish(run, {"export": export}, RECIPE).bundle.folder
    assert "have not been scored" in (place / "README.md").read_text(encoding="utf-8")
    publish(run, {"export": export, "bench": benched(tmp_path / "bench", measured)}, RECIPE)
    assert "have not been scored" not in (place / "README.md").read_text(encoding="utf-8")


def test_a_card_that_a_killed_run_wrote_anew_was_not_edited(tmp_path: Path, measured: list[Measurement]) -> None:
    export, run = exported(tmp_path / "export"), tmp_path / "runs"
    place = publish(run, {"export": export, "bench": benched(tmp_path / "bench", measured)}, RECIPE).bundle.folder
    unscored = export.folder / "bundle"
    replace_folder(unscored, place, "of the card before")
    assert (place / "README.md").read_bytes() == (unscored / "README.md").read_bytes()


@pytest.mark.parametrize("swapped", [0, 1])
def test_a_swap_that_is_killed_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: int) -> None:
    export, run = exported(tmp_path / "export"), tmp_path / "runs"
    place = publish(run, {"export": export}, RECIPE).bundle.folder
    (place / "LICENSE").write_text("mine", encoding="utf-8")
    done: list[Path] = []
    rename = Path.rename

    def kill(path: Path, target: Path) -> None:
        if path.name.startswith((".bundle", "bundle")):
            if len(done) == swapped:
                raise KeyboardInterrupt
            done.append(path)
        rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", kill)
        with pytest.raises(KeyboardInterrupt):
            publish(run, {"export": export}, OTHER)
    assert (publish(run, {"export": export}, OTHER).bundle.folder / "LICENSE").read_text(encoding="utf-8") == "mine"
    assert not list(run.glob(".bundle*"))


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
    monkeypatch.setattr("edgedistil.pipeline.publish.replace_folder", refuse)
    publish(tmp_path / "runs", stages, RECIPE)
