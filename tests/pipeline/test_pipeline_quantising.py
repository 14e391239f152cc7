from __future__ import annotations

from types import SimpleNamespace

import pytest
from tiny import tiny_recipe

from edgedistil.devices.profile import DeviceProfile
from edgedistil.errors import UsageError
from edgedistil.pipeline import quantising
from edgedistil.pipeline.quantising import check_formats, check_measured, static_parameters, target_parameters
from edgedistil.pipeline.readying import with_operands
from edgedistil.quantise.ranges import Ranges
from edgedistil.recipe.schema import Recipe


def build_of(monkeypatch: pytest.MonkeyPatch, profile: object, **changes: object) -> SimpleNamespace:
    monkeypatch.setattr(quantising, "measuring_profile", lambda _: profile)
    return SimpleNamespace(recipe=Recipe.model_validate({**tiny_recipe(), **changes}))


def local(*runtimes: str) -> DeviceProfile:
    return DeviceProfile(name="mine", kind="local", runtimes=list(runtimes))


def test_a_scheme_that_the_device_cannot_run_is_said_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    formats = {"formats": ["onnx-fp32", "onnx-int8-static"], "sequence_lengths": [32]}
    check_formats(build_of(monkeypatch, local("openvino"), export=formats))
    with pytest.raises(UsageError) as caught:
        check_formats(build_of(monkeypatch, local("litert"), export=formats))
    assert caught.value.line().startswith(
        "export.formats: device 'mine' runs no onnxruntime or openvino or openvino-bf16, which onnx-int8-static needs; "
        "choose one of: tflite-fp32, tflite-int8"
    )
    usual = {"formats": ["onnx-int8", "tflite-int8"], "sequence_lengths": [32]}
    check_formats(build_of(monkeypatch, local("litert"), export=usual))


def test_a_device_that_runs_none_of_the_usual_formats_is_said_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"formats": ["onnx-int8", "tflite-int8"], "sequence_lengths": [32]}
    check_measured(build_of(monkeypatch, local("litert"), export=both))
    with pytest.raises(UsageError) as caught:
        check_measured(build_of(monkeypatch, local("litert"), export={**both, "formats": ["onnx-int8"]}))
    assert caught.value.line().startswith(
        "export.formats: device 'mine' runs no onnxruntime, which onnx-int8 needs; choose one of: tflite-fp32"
    )


def test_the_device_decides_on_the_integers_unless_the_recipe_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def kind(profile: object, machine: str = "x86_64", **asked: object) -> tuple[str, bool]:
        monkeypatch.setattr(quantising.platform, "machine", lambda: machine)
        formats = {"formats": ["onnx-int8-static"], "sequence_lengths": [32]}
        build = build_of(monkeypatch, profile, quantise=asked, export=formats)
        found = static_parameters(build, ["onnx-int8-static"])["quantise"]
        return found["activations"], found["reduced_range"]

    needed = "edgedistil.export.quantise_onnx.needs_reduced_range"
    monkeypatch.setattr(needed, lambda: False)
    pi = SimpleNamespace(kind="ssh", machine="aarch64")
    assert kind(local("onnxruntime"))[0] == "uint8"
    assert kind(local("onnxruntime"), "aarch64")[0] == "int8"
    assert kind(pi) == ("int8", False)
    assert kind(pi, activations="uint8") == ("uint8", False)
    assert kind(SimpleNamespace(kind="ssh", machine="x86_64")) == ("uint8", True)
    assert kind(SimpleNamespace(kind="ssh", machine=None)) == ("int8", True), "it may be an x86 without VNNI"
    assert kind(SimpleNamespace(kind="emulated")) == ("int8", False)
    monkeypatch.setattr(needed, lambda: True)
    assert kind(pi) == ("int8", True), "this machine checks the file, and would saturate"


def test_a_target_is_judged_in_a_runtime_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def judged(*runtimes: str) -> object:
        formats = {"formats": ["onnx-int8-static", "onnx-int8", "tflite-int8"], "sequence_lengths": [32]}
        build = build_of(monkeypatch, local(*runtimes), quantise={"max_drop": 0.01}, export=formats)
        return target_parameters(build)["target"].get("runtimes")

    monkeypatch.setattr(quantising, "installed", lambda _: True)
    assert judged("onnxruntime", "openvino") is None, "a usual runtime is no change of any key"
    assert judged("openvino", "litert") == {"onnx-int8-static": "openvino"}
    monkeypatch.setattr(quantising, "installed", lambda name: "openvino" not in name)
    assert judged("openvino") is None, "what is not installed here can judge nothing"


def test_what_attention_s_products_take_has_the_range_that_was_trained() -> None:
    attention = "encoder.layers.0.attention"
    trained = Ranges({f"{attention}.query": (-9.0, 9.0)}, {}, {f"{attention}.query": (-2.0, 2.0)})
    found = with_operands(trained, {f"{attention}:query": (-3.0, 3.0), f"{attention}:probabilities": (0.0, 1.0)})
    assert found.operands == {f"{attention}:query": (-2.0, 2.0), f"{attention}:probabilities": (0.0, 1.0)}
    assert (found.inputs, found.outputs) == (trained.inputs, trained.outputs)


def test_a_stage_without_static_files_keeps_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    build = build_of(monkeypatch, local("onnxruntime"), quantise={"calibration_examples": 9})
    assert static_parameters(build, ["onnx-fp32", "onnx-int8", "onnx-int4"]) == {}
