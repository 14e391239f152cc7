"""What a user would type by hand to have an int8 file: the peers' own recipes, each on our fp32 file."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from held_out import HeldOut

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.runner.scoring import decode_rows


def peer_versions() -> dict[str, str]:
    """Returns the versions of what is compared with."""
    return {name: importlib.metadata.version(name) for name in ("openvino", "nncf", "optimum")}


def optimum_dynamic(source: Path, config: Path, target: Path, *, per_channel: bool) -> None:
    """Writes what `optimum-cli onnxruntime quantize --avx512_vnni` makes of an ONNX file.

    Args:
        source: The fp32 file.
        config: The model's `config.json`, which the command reads.
        target: Where to write.
        per_channel: With the command's `--per_channel`.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "given"), Path(folder, "made")
        given.mkdir()
        shutil.copyfile(source, given / "model.onnx")
        shutil.copyfile(config, given / "config.json")
        words = ["--avx512_vnni", *(["--per_channel"] if per_channel else []), "-o", str(made)]
        optimum_cli("onnxruntime", "quantize", "--onnx_model", str(given), *words)
        shutil.move(made / "model_quantized.onnx", target)


def optimum_cli(*words: str) -> None:
    """Runs optimum's command, without the internet."""
    command = [str(Path(sys.executable).with_name("optimum-cli")), *words]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})


def litert_plain(source: Path, target: Path) -> None:
    """Writes what ai-edge-quantizer's `dynamic_wi8_afp32` recipe makes of a TFLite file."""
    from ai_edge_quantizer import quantizer, recipe

    made = quantizer.Quantizer(str(source), recipe.dynamic_wi8_afp32())
    made.quantize().export_model(str(target), overwrite=True)


def nncf_quantise(source: Path, rows: EvaluationSet, target: Path) -> None:
    """Writes what `nncf.quantize(model, data, model_type=TRANSFORMER)` makes of an ONNX file, as OpenVINO's IR."""
    import nncf
    import openvino

    model = openvino.Core().read_model(source)
    data = nncf.Dataset(feeds(rows, model), lambda item: item)
    openvino.save_model(nncf.quantize(model, data, model_type=nncf.ModelType.TRANSFORMER), target)


def nncf_accuracy_control(source: Path, rows: EvaluationSet, dev: HeldOut, target: Path) -> None:
    """Writes what `nncf.quantize_with_accuracy_control` makes, 0.4 points being what may be lost on dev.

    Args:
        source: The fp32 file.
        rows: Of training text, to calibrate on.
        dev: What it judges by; of a task with one answer a text.
        target: Where to write.
    """
    import nncf
    import openvino

    model = openvino.Core().read_model(source)

    def validate(compiled: Any, items: Iterable[Any]) -> tuple[float, None]:
        chosen, outputs = [], []
        for index, feed in items:
            (logits,) = compiled(feed).to_tuple()
            chosen.append(index)
            outputs += decode_rows(dev.tokens.kind, np.array(logits), dev.tokens, [index])
        return dev.headline(chosen, outputs), None

    made = nncf.quantize_with_accuracy_control(
        model,
        calibration_dataset=nncf.Dataset(feeds(rows, model), lambda item: item),
        validation_dataset=nncf.Dataset(list(enumerate(feeds(dev.tokens, model))), lambda item: item[1]),
        validation_fn=validate,
        max_drop=0.004,
        model_type=nncf.ModelType.TRANSFORMER,
    )
    openvino.save_model(made, target)


def feeds(rows: EvaluationSet, model: Any) -> list[dict[str, np.ndarray]]:
    """Returns each row as the inputs of an OpenVINO model, at its own length."""
    made = []
    for index in range(len(rows)):
        ids = np.asarray(rows.input_ids[rows.slice(index)], dtype=np.int64)[None]
        known = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        made.append({entry.any_name: known[entry.any_name] for entry in model.inputs})
    return made
