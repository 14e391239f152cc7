from __future__ import annotations

import pytest
from tiny_bundle import MAX_LENGTH, make_bundle

from edgedistil.bench.cases import cases_of
from edgedistil.bench.session import run_bench
from edgedistil.bench.settings import BenchSettings
from edgedistil.bundle import Bundle
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
    records = run_bench(cases_of(bundle, 1, 8), bundle.evaluation_path, settings).complete()
    assert [record.accuracy.examples for record in records if record.accuracy] == [5, 5]
    listed = {record.path: record.sha256 for record in bundle.manifest.files}
    assert all(listed[record.file] == record.sha256 for record in records)
