"""The formats a bundle may hold: each one's name, usual place, scheme, runtimes and title."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scheme:
    """How a format's numbers are written.

    Attributes:
        name: As ai-edge-quantizer names such recipes, ONNX's too: `<kind>_wi<weight bits>_a<activations>`.
        weights: Of matrix products.
        embeddings: Of look-up tables.
        activations: What matrix products take.
        granularity: What has a scale of its own.
        calibrated: Whether activations' ranges are found beforehand, on text.
        meant_for: Where its kernels are: runtime and instruction set.
    """

    name: str
    weights: str
    embeddings: str
    activations: str
    granularity: str
    calibrated: bool
    meant_for: str


@dataclass(frozen=True)
class Format:
    """A kind of model file.

    Attributes:
        name: Name in recipes, manifests and options, such as `onnx-int8`.
        path: Usual place in a bundle, POSIX, relative; a manifest's record may name another.
        runtimes: Runtimes that open it, the usual one first: `onnxruntime`, `openvino`, `litert`, `pytorch`.
        title: Name in tables.
        scheme: How its numbers are written.
    """

    name: str
    path: str
    runtimes: tuple[str, ...]
    title: str
    scheme: Scheme

    @property
    def runtime(self) -> str:
        """Returns the usual runtime."""
        return self.runtimes[0]

    def title_in(self, runtime: str) -> str:
        """Returns its name in tables as one of its runtimes runs it."""
        if runtime == self.runtime:
            return self.title
        return f"{self.title} in {RUNTIME_TITLES.get(runtime, runtime)}"


RUNTIME_TITLES = {
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "openvino-bf16": "OpenVINO bf16",
    "litert": "LiteRT",
    "pytorch": "PyTorch",
}
"""What runtimes are called in tables."""

_OPENVINO = ("openvino", "openvino-bf16")
_FP32 = Scheme("fp32", "fp32", "fp32", "fp32", "-", calibrated=False, meant_for="any processor")
_FP16 = Scheme("fp16", "fp16", "fp16", "fp16", "-", calibrated=False, meant_for="ONNX Runtime on CUDA")
_ONNX_DYNAMIC = Scheme(
    "dynamic_wi8_afp32", "int8", "int8", "uint8, ranges found at run time", "channel; embeddings table",
    calibrated=False, meant_for="ONNX Runtime: x86 with VNNI or AMX, ARM with dot product; 7 bits on older x86",
)  # fmt: skip
_ONNX_STATIC = Scheme(
    "static_wi8_ai8", "int8", "int8", "uint8 (x86) or int8 (ARM), int8 in attention", "channel; embeddings row",
    calibrated=True, meant_for="OpenVINO and ONNX Runtime: x86 with VNNI or AMX; ONNX Runtime: ARM with dot product",
)  # fmt: skip
_ONNX_INT4 = Scheme(
    "weight_only_wi4_afp32", "int4", "int4", "fp32, int8 within the kernel", "block of 32; positions row, in int8",
    calibrated=False, meant_for="ONNX Runtime, where size counts most: x86 with AVX2, ARM with NEON",
)  # fmt: skip
_TFLITE_DYNAMIC = Scheme(
    "dynamic_wi8_afp32", "int8", "int8", "int8, ranges found at run time", "channel; embeddings row",
    calibrated=False, meant_for="LiteRT (XNNPACK): x86 with VNNI, ARM with dot product",
)  # fmt: skip
_TFLITE_INT8 = Scheme(
    "static_wi8_ai8", "int8", "int8", "int8", "channel; embeddings row",
    calibrated=True, meant_for="LiteRT (XNNPACK), and accelerators that take integers only",
)  # fmt: skip
_TFLITE_INT16 = Scheme(
    "static_wi8_ai16", "int8", "int8", "int16", "channel; embeddings row",
    calibrated=True, meant_for="LiteRT, accelerators that take 16-bit activations",
)  # fmt: skip
_TFLITE_INT4 = Scheme(
    "dynamic_wi4_afp32", "int4", "int4", "int8, ranges found at run time", "channel; embeddings row",
    calibrated=False, meant_for="LiteRT (XNNPACK), where size counts most",
)  # fmt: skip

_ORT = ("onnxruntime",)
_LITERT = ("litert",)

FORMATS: dict[str, Format] = {
    made.name: made
    for made in (
        Format("onnx-fp32", "onnx/model.onnx", (*_ORT, *_OPENVINO), "ONNX fp32", _FP32),
        Format("onnx-fp16", "onnx/model_fp16.onnx", (*_ORT, *_OPENVINO), "ONNX fp16", _FP16),
        Format("onnx-int8", "onnx/model_quantized.onnx", _ORT, "ONNX int8", _ONNX_DYNAMIC),
        Format(
            "onnx-int8-static", "onnx/model_static_wi8_ai8.onnx", (*_ORT, *_OPENVINO), "ONNX static int8", _ONNX_STATIC
        ),
        Format("onnx-int4", "onnx/model_weight_only_wi4_afp32.onnx", _ORT, "ONNX int4", _ONNX_INT4),
        Format("tflite-fp32", "model_fp32.tflite", _LITERT, "TFLite fp32", _FP32),
        Format("tflite-int8", "model_dynamic_wi8_afp32.tflite", _LITERT, "TFLite int8", _TFLITE_DYNAMIC),
        Format("tflite-int8-static", "model_static_wi8_ai8.tflite", _LITERT, "TFLite static int8", _TFLITE_INT8),
        Format("tflite-int16-static", "model_static_wi8_ai16.tflite", _LITERT, "TFLite static int16", _TFLITE_INT16),
        Format("tflite-int4", "model_dynamic_wi4_afp32.tflite", _LITERT, "TFLite int4", _TFLITE_INT4),
        Format("pytorch", "pytorch/model.safetensors", ("pytorch",), "PyTorch", _FP32),
    )
}
"""Every format by name, in the order in which tables show them."""
