"""The files that int8 measurements compare: ours in every format, and the peers' own of the same fp32 files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from held_out import HeldOut
from int8_peers import litert_plain, nncf_accuracy_control, nncf_quantise, optimum_dynamic, peer_versions

from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.formats import FORMATS
from edgedistil.hashing import hash_file, hash_value
from edgedistil.quiet import silence

OURS = "edgedistil"
# LiteRT's own kernels for 16-bit activations take 23 times as long as fp32: scored, not timed.
UNTIMED = ("tflite-int16-static",)
MADE = tuple(name for name in FORMATS if name != "pytorch")


@dataclass(frozen=True)
class File:
    """One file in one runtime.

    Attributes:
        title: Of its row.
        by: Who made it.
        scheme: How its numbers are written.
        path: Where it is.
        runtime: What opens it.
        timed: Whether it takes turns.
    """

    title: str
    by: str
    scheme: str
    path: Path
    runtime: str
    timed: bool = True

    @property
    def bytes(self) -> int:
        """Returns its size; OpenVINO's IR is two files."""
        beside = self.path.with_suffix(".bin")
        return self.path.stat().st_size + (beside.stat().st_size if self.path.suffix == ".xml" else 0)

    @property
    def sha256(self) -> str:
        """Returns what tells it from another of its name; of OpenVINO's IR, the weights'."""
        return hash_file(self.path.with_suffix(".bin") if self.path.suffix == ".xml" else self.path)

    @property
    def facts(self) -> dict[str, Any]:
        """Returns what a result's row says of it, measurements aside."""
        return {
            "title": self.title,
            "by": self.by,
            "scheme": self.scheme,
            "runtime": self.runtime,
            "bytes": self.bytes,
        }


def own_files(paths: Mapping[str, Path]) -> list[File]:
    """Returns files of our formats, each in every runtime of this machine that opens it."""
    return [
        File(made.title_in(runtime), OURS, made.scheme.name, paths[name], runtime, name not in UNTIMED)
        for name, made in FORMATS.items()
        if name in paths
        for runtime in made.runtimes
        # Half precision on ONNX Runtime's CPU is computed in fp32 after conversions.
        if (name, runtime) != ("onnx-fp16", "onnxruntime")
    ]


def runnable(files: Sequence[File]) -> list[File]:
    """Returns those files whose runtime this machine has all that it takes for; says which runtimes are left out."""
    refused = {}
    for runtime, file in {file.runtime: file for file in reversed(files)}.items():
        try:
            runtimes.create(runtime, str(file.path), threads=1).close()
        except RunnerError as error:
            refused[runtime] = error
            print(f"left out: {runtime}: {error}", flush=True)
    return [file for file in files if file.runtime not in refused]


def peer_files(
    onnx: Path, tflite: Path, config: Path, rows: EvaluationSet, folder: Path, dev: HeldOut | None
) -> list[File]:
    """Makes the peers' files of our fp32 ones, those that are not there yet; returns them.

    Args:
        onnx: The fp32 file.
        tflite: Its TFLite form.
        config: The model's `config.json`.
        rows: Training text.
        folder: Where the files go, those of the same fp32 files, rows and versions into a folder of their own.
        dev: What NNCF's accuracy control judges by; None leaves that out.
    """
    given = {
        "files": [hash_file(onnx), hash_file(tflite)],
        "rows": rows.input_ids.tolist(),
        "versions": peer_versions(),
    }
    folder = folder / hash_value(given)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    makers: dict[str, tuple[Callable[[Path], None], File]] = {
        "optimum.onnx": (
            lambda path: optimum_dynamic(onnx, config, path, per_channel=False),
            File("optimum-cli", "optimum-cli", "dynamic_wi8_afp32", folder / "optimum.onnx", "onnxruntime"),
        ),
        "optimum_channel.onnx": (
            lambda path: optimum_dynamic(onnx, config, path, per_channel=True),
            File(
                "optimum-cli --per_channel",
                "optimum-cli",
                "dynamic_wi8_afp32",
                folder / "optimum_channel.onnx",
                "onnxruntime",
            ),
        ),
        "nncf.xml": (
            lambda path: nncf_quantise(onnx, rows, path),
            File("NNCF quantize", "NNCF", "static_wi8_ai8", folder / "nncf.xml", "openvino"),
        ),
        "litert.tflite": (
            lambda path: litert_plain(tflite, path),
            File("ai-edge-quantizer", "ai-edge-quantizer", "dynamic_wi8_afp32", folder / "litert.tflite", "litert"),
        ),
    }
    if dev is not None:
        path = folder / "nncf_controlled.xml"
        makers[path.name] = (
            lambda path: nncf_accuracy_control(onnx, rows, dev, path),
            File("NNCF quantize_with_accuracy_control", "NNCF", "static_wi8_ai8", path, "openvino"),
        )
    for name, (make, _) in makers.items():
        if not (folder / name).is_file():
            print(f"making {name}", flush=True)
            with silence():
                make(folder / name)
    files = [file for _, file in makers.values()]
    in_bf16 = [
        File(f"{file.title} in OpenVINO bf16", file.by, file.scheme, file.path, "openvino-bf16")
        for file in files
        if file.runtime == "openvino"
    ]
    return files + in_bf16
