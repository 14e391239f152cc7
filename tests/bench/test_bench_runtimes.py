from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from bench_files import LABELS, LENGTHS, make_onnx, weights

from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.evaluation import EvaluationSet


def expected(input_ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    embedding, head = weights(8)
    summed = (embedding[input_ids] * mask[..., None]).sum(1)
    return summed / mask.sum(1, keepdims=True) @ head


@pytest.fixture(params=["onnx", "tflite"])
def runtime(request: pytest.FixtureRequest) -> runtimes.Runtime:
    name = {"onnx": "onnxruntime", "tflite": "litert"}[request.param]
    return runtimes.create(name, str(request.getfixturevalue(f"{request.param}_file")), 1, 8)


def test_logits_are_the_models_whatever_the_batch_and_padding(
    runtime: runtimes.Runtime, examples: EvaluationSet
) -> None:
    for indices, length in (([0], 12), ([1, 2, 3], 12), ([4, 5], 16)):
        batch = examples.batch(indices, length)
        logits = runtime.run(*batch)
        assert logits.shape == (len(indices), LABELS)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, expected(*batch), atol=1e-5)


def test_a_bound_call_can_be_repeated_and_takes_a_batch(runtime: runtimes.Runtime, examples: EvaluationSet) -> None:
    one, two = (runtime.bind(*examples.batch(indices, 8)) for indices in ([0], [0, 1]))
    for _ in range(3):
        assert one() is not None
        assert two() is not None


def test_versions_and_closing(runtime: runtimes.Runtime) -> None:
    assert runtime.name in runtimes.names()
    assert runtime.version[0].isdigit()
    runtime.close()


def test_token_types_are_fed_where_the_graph_asks(tmp_path: Path, examples: EvaluationSet) -> None:
    path = make_onnx(tmp_path / "types.onnx", token_types=True)
    batch = examples.batch([0, 1], 12)
    logits = runtimes.create("onnxruntime", str(path), 1).run(*batch)
    np.testing.assert_allclose(logits, expected(*batch), atol=1e-5)


def test_threads_reach_the_session(onnx_file: Path) -> None:
    model = runtimes.create("onnxruntime", str(onnx_file), 3)
    options = model._session.get_session_options()  # type: ignore[attr-defined]
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)


def test_the_smallest_signature_that_fits_is_taken(tflite_file: Path) -> None:
    model = runtimes.create("litert", str(tflite_file), 1)
    assert [model.fit(n) for n in (1, 8, 9, 16)] == [8, 8, 16, 16]  # type: ignore[attr-defined]


def test_an_input_beyond_the_longest_signature_is_refused_at_load_and_at_run(tflite_file: Path) -> None:
    words = f"20 tokens is longer than the file's longest signature, {max(LENGTHS)}"
    with pytest.raises(RunnerError, match=words):
        runtimes.create("litert", str(tflite_file), 1, 20)
    ones = np.ones((1, 20), dtype=np.int64)
    with pytest.raises(RunnerError, match=words):
        runtimes.create("litert", str(tflite_file), 1).run(ones, ones)


@pytest.mark.parametrize("name", ["onnxruntime", "litert"])
@pytest.mark.parametrize("content", [b"", b"junk" * 50, None])
def test_an_illegal_file_is_one_line(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunnerError) as caught:
        runtimes.create(name, str(path), 1)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert "; export it" in line


def test_a_file_cut_short_is_one_line(onnx_file: Path, tflite_file: Path, tmp_path: Path) -> None:
    for name, source in (("onnxruntime", onnx_file), ("litert", tflite_file)):
        path = tmp_path / source.name
        path.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        with pytest.raises(RunnerError, match="cannot load it"):
            runtimes.create(name, str(path), 1)


def test_an_unknown_input_and_an_id_outside_the_vocabulary_are_one_line(
    onnx_file: Path, tflite_file: Path, tmp_path: Path
) -> None:
    ones = np.ones((1, 4), dtype=np.int64)
    with pytest.raises(RunnerError, match="failed on an input of shape"):
        runtimes.create("onnxruntime", str(onnx_file), 1).run(ones * 10_000, ones)
    with pytest.raises(RunnerError, match="LiteRT failed on a text of 4 tokens"):
        runtimes.create("litert", str(tflite_file), 1).run(ones * 10_000, ones)
    model = onnx.load(onnx_file)
    model.graph.input.append(onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.INT64, ["batch"]))
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(RunnerError, match="nobody here can give: pixels"):
        runtimes.create("onnxruntime", str(tmp_path / "odd.onnx"), 1).run(ones, ones)


def test_unknown_runtime_and_no_threads_are_refused(onnx_file: Path) -> None:
    with pytest.raises(RunnerError, match=r"no runtime named 'tvm'; choose one of: .*litert.*onnxruntime"):
        runtimes.create("tvm", str(onnx_file), 1)
    with pytest.raises(RunnerError, match="threads is 0"):
        runtimes.create("onnxruntime", str(onnx_file), 0)


def test_a_registered_runtime_is_created_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "_FACTORIES", {})
    runtimes.register("own", lambda path, threads, length: (path, threads, length))  # type: ignore[arg-type,return-value]
    assert runtimes.create("own", "somewhere", 2, 16) == ("somewhere", 2, 16)
    assert "own" in runtimes.names()


def test_an_old_runtime_is_not_asked_what_it_answers_wrongly(
    tflite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgedistil.bench.runner.runtimes import litert

    monkeypatch.setattr(litert, "_PACKAGE", "tflite-runtime")
    runtimes.create("litert", str(tflite_file), 1).close()

    quantised = [{"dtype": np.float32}, {"dtype": np.int8}]
    monkeypatch.setattr(litert.Interpreter, "get_tensor_details", lambda _: quantised)
    with pytest.raises(RunnerError, match="gives an int8 file's every text the same answer; use its fp32 file"):
        runtimes.create("litert", str(tflite_file), 1)
