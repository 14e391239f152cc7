from __future__ import annotations

from pathlib import Path

import pytest
from tiny_bundle import MAX_LENGTH, make_bundle, make_details, make_sources

from edgedistil.bench.cases import Grid, cases_of, grid_cases
from edgedistil.bench.scores import Examples
from edgedistil.bench.session import run_bench
from edgedistil.bench.settings import BenchSettings
from edgedistil.bundle import Bundle, FileFacts, write_bundle
from edgedistil.errors import UsageError


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("cases"))


def test_a_bundle_gives_a_case_a_file(bundle: Bundle) -> None:
    first, second = cases_of(bundle, 2, 8)
    assert (first.name, first.format, first.runtime) == ("ONNX fp32", "onnx-fp32", "onnxruntime")
    assert (first.threads, first.sequence_length, first.bundle) == (2, 8, "tiny")
    assert (second.name, second.file) == ("ONNX int8", "onnx/model_quantized.onnx")
    assert second.path == bundle.folder / second.file
    assert not first.brings_worker
    assert [case.format for case in cases_of(bundle, 1, 8, ["onnx-int8"])] == ["onnx-int8"]


def test_a_file_gives_a_case_a_runtime_that_the_device_has(bundle: Bundle) -> None:
    cases = cases_of(bundle, 1, 8, opens=["onnxruntime", "openvino", "litert"])
    assert [(case.name, case.runtime) for case in cases] == [
        ("ONNX fp32", "onnxruntime"),
        ("ONNX fp32 in OpenVINO", "openvino"),
        ("ONNX int8", "onnxruntime"),
    ]
    (alone,) = cases_of(bundle, 1, 8, opens=["openvino"])
    assert alone.name == "ONNX fp32 in OpenVINO"
    with pytest.raises(UsageError, match="format 'onnx-int8' cannot be benched by itself"):
        cases_of(bundle, 1, 8, ["onnx-int8"], ["openvino"])


@pytest.mark.parametrize(
    ("threads", "length", "formats", "words"),
    [
        (0, 8, None, "threads is 0"),
        (1, 0, None, "sequence length is 0; give between 1 and 16"),
        (1, MAX_LENGTH + 1, None, "sequence length is 17"),
        (1, 8, ["tflite-int8"], "no file of format 'tflite-int8'"),
        (1, 8, [], "no file that can be benched"),
    ],
)
def test_impossible_cases_are_one_line(
    bundle: Bundle, threads: int, length: int, formats: list[str] | None, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        cases_of(bundle, threads, length, formats)
    assert words in str(caught.value)


def test_a_bundle_is_benched_from_its_own_evaluation_set(bundle: Bundle) -> None:
    settings = BenchSettings(relative_width=1, max_seconds=0.2, min_blocks=2, block_seconds=0.02, warmup_seconds=0.2)
    records = run_bench(cases_of(bundle, 1, 8), Examples.of(bundle), settings).complete()
    assert [record.accuracy.examples for record in records if record.accuracy] == [5, 5]
    listed = {record.path: record.sha256 for record in bundle.manifest.files}
    assert all(listed[record.file] == record.sha256 for record in records)


def test_a_grid_gives_every_combination_and_names_what_varies(bundle: Bundle) -> None:
    cases, left_out = grid_cases(bundle, Grid([1, 2], [8], [1, 4]), ["onnx-fp32"])
    assert [case.name for case in cases] == [
        f"ONNX fp32, {threads}, batch {batch}" for threads in ("1 thread", "2 threads") for batch in (1, 4)
    ]
    assert [(case.threads, case.batch) for case in cases] == [(1, 1), (1, 4), (2, 1), (2, 4)]
    assert left_out == []
    alone, _ = grid_cases(bundle, Grid([2, 2], [8]))
    assert [case.name for case in alone] == ["ONNX fp32", "ONNX int8"]
    with pytest.raises(UsageError, match="batch is 0; give at least 1"):
        grid_cases(bundle, Grid([1], [8], [0]))


def test_a_tflite_file_is_left_out_of_larger_batches_and_that_is_said(tmp_path: Path) -> None:
    sources = {**make_sources(tmp_path / "sources"), "model_fp32.tflite": Path(__file__).parents[1] / "tiny.tflite"}
    facts = {"onnx/model.onnx": FileFacts("onnx-fp32"), "model_fp32.tflite": FileFacts("tflite-fp32")}
    bundle = write_bundle(tmp_path / "bundle", sources, make_details(facts=facts))
    cases, left_out = grid_cases(bundle, Grid([1], [8], [1, 2]))
    assert [(case.format, case.batch) for case in cases] == [("onnx-fp32", 1), ("tflite-fp32", 1), ("onnx-fp32", 2)]
    assert left_out == ["TFLite fp32 is made for batch 1: left out of larger ones"]
    with pytest.raises(UsageError, match="TFLite fp32 is made for batch 1"):
        grid_cases(bundle, Grid([1], [8], [2]), ["tflite-fp32"])
