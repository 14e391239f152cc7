from __future__ import annotations

from types import SimpleNamespace

import pytest
import tiny_bundle

from edgedistil.bundle.read import Bundle
from edgedistil.errors import EdgeDistilError
from edgedistil.export.forms import Form
from edgedistil.export.search.records import SearchLog, Trial
from edgedistil.pipeline.choosing import form_lines, quantised_lines
from edgedistil.pipeline.measuring import failure_lines
from edgedistil.report.trials import TRIALS_NAME


def trial(scheme: str, drop: float, **more: object) -> Trial:
    interval = (drop - 0.01, drop + 0.01)
    values = {"purpose": "whole", "score": 0.9 - drop, "drop": drop, "drop_interval": interval, "holds": drop <= 0.005}
    return Trial(scheme=scheme, size_bytes=1_000_000, seconds=1.0, **{**values, **more})


WHOLE = {"purpose": "whole", "size_bytes": 1, "seconds": 1.0}
TRIALS = (
    trial("onnx-int8-static", 0.02),
    Trial(scheme="onnx-int8-static", purpose="sensitivity", alone="head", distance=0.1, size_bytes=1, seconds=1.0),
    trial("onnx-int8-static", 0.004, purpose="fewest", kept=("layer.0.ffn",)),
    trial("onnx-int8", 0.0),
    trial("tflite-int8", 0.3),
)


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    made = tiny_bundle.make_bundle(tmp_path)
    log = SearchLog(max_drop=0.005, reference={"onnx-int8": 0.9}, trials=TRIALS)
    (made.folder / TRIALS_NAME).write_text(log.model_dump_json())
    return made


def measured(name: str, runtime: str, ms: float | None, bundle: Bundle) -> SimpleNamespace:
    p50 = None if ms is None else SimpleNamespace(value=ms)
    counted = {"total": 2e6} if ms is None else None
    return SimpleNamespace(format=name, runtime=runtime, p50_ms=p50, instructions=counted, bundle=bundle.manifest.name)


def test_the_better_of_a_container_s_files_is_named_in_its_fastest_runtime(bundle: Bundle, monkeypatch):
    monkeypatch.setattr(Bundle, "formats", ["onnx-fp32", "onnx-int8", "onnx-int8-static"])
    monkeypatch.setattr(Bundle, "path", lambda self, name: self.folder / name)
    made = [
        measured("onnx-int8", "onnxruntime", 3.0, bundle),
        measured("onnx-int8-static", "onnxruntime", 4.0, bundle),
        measured("onnx-int8-static", "openvino", 2.0, bundle),
    ]
    missed = "quantise: TFLite int8 is not within 0.005 of fp32, and does not ship"
    better = (
        "quantise: ONNX static int8 with layer.0.ffn in higher precision, 0.0040 below fp32 in ONNX Runtime; "
        "is the better: ONNX static int8 in OpenVINO 2 ms against ONNX int8 3 ms"
    )
    assert quantised_lines(bundle, made) == [better, missed]
    assert quantised_lines(bundle, [measured("onnx-int8", "onnxruntime", None, bundle)]) == [
        "quantise: ONNX int8, nothing below fp32; ONNX int8 2 M instructions",
        missed,
    ]
    faulty = (*TRIALS[:-1], Trial(**WHOLE, scheme="tflite-int8", fault="it differs from PyTorch by up to 9"))
    log = SearchLog(max_drop=0.005, reference={}, trials=faulty)
    (bundle.folder / TRIALS_NAME).write_text(log.model_dump_json())
    missed = "quantise: TFLite int8 differs from PyTorch by up to 9, and does not ship"
    assert quantised_lines(bundle, made) == [better, missed]
    assert quantised_lines(bundle, [])[0].startswith("quantise: ONNX static int8 with layer.0.ffn in higher precision")
    (bundle.folder / TRIALS_NAME).unlink()
    assert quantised_lines(bundle, made) == []


def test_it_is_said_which_files_are_smoothed_and_by_what():
    forms = {
        "onnx-int8": {"plain": 0.0506, "smoothed": 0.0374, "smooth": True},
        "tflite-int8-static": {"plain": 0.0352, "smoothed": 0.0375, "smooth": False},
    }
    told = "quantise: logits' distance from fp32, smoothed against as it is: ONNX int8 smoothed (0.037 against 0.051)"
    assert form_lines(forms) == [f"{told}; TFLite static int8 as it is (0.037 against 0.035)"]
    assert form_lines({}) == []
    assert form_lines({"onnx-int8": Form(float("inf"), 0.5).as_json()})[0].endswith("(0.5 against does not run)")


def test_one_reason_is_said_once_for_all_files():
    missing = {"what": "openvino is not installed", "cure": "run: pip install openvino"}
    failures = {name: EdgeDistilError(**missing, where=name) for name in ("ONNX fp32", "ONNX int8")}
    assert failure_lines(failures | {"x": EdgeDistilError("died", where="x")}) == [
        "ONNX fp32; ONNX int8 not measured: openvino is not installed; run: pip install openvino",
        "x not measured: x: died",
    ]
