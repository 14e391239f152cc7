"""Every scheme beside the peers' own: `python benchmarks/int8.py RECIPE [--dense]` writes results/int8/NAME.json.

The recipe's student, or with --dense the one before pruning, in every format that this machine has a runtime for, and
what optimum-cli, NNCF and ai-edge-quantizer make of the same fp32 files by the commands that their users type. Every
file is scored on dev and on test, held against the fp32 file on the same examples, and timed; all of them take turns.
`--scores-only` leaves the times of an earlier call, `--times-only` the scores.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from held_out import HeldOut
from int8_peers import litert_plain, nncf_accuracy_control, nncf_quantise, optimum_dynamic

from edgedistil.bench.cases import Case
from edgedistil.bench.facts import local_facts
from edgedistil.bench.measurement import Measurement, speedup
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.session import run_bench
from edgedistil.bench.settings import BenchSettings
from edgedistil.bundle.formats import FORMATS
from edgedistil.pipeline.bundling import package_versions
from edgedistil.pipeline.plan import plan_recipe
from edgedistil.pipeline.quantising import calibration_rows
from edgedistil.pipeline.run import run_plan
from edgedistil.progress import TerminalProgress
from edgedistil.quiet import silence
from edgedistil.recipe.load import Workspace, load_recipe
from edgedistil.recipe.quantising import Quantise

RESULTS = Path(__file__).resolve().parent / "results" / "int8"
OURS = "edgedistil"
FP32 = "ONNX fp32"
# LiteRT's own kernels for 16-bit activations take 23 times as long as fp32: scored, not timed.
UNTIMED = ("tflite-int16-static",)
MADE = (
    "onnx-fp32",
    "onnx-fp16",
    "onnx-int8",
    "onnx-int8-static",
    "onnx-int4",
    "tflite-fp32",
    "tflite-int8",
    "tflite-int8-static",
    "tflite-int16-static",
    "tflite-int4",
)


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


def peer_files(
    onnx: Path, tflite: Path, config: Path, rows: EvaluationSet, folder: Path, dev: HeldOut | None
) -> list[File]:
    """Makes the peers' files of our fp32 ones, those that are not there yet; returns them.

    Args:
        onnx: The fp32 file.
        tflite: Its TFLite form.
        config: The model's `config.json`.
        rows: Training text.
        folder: Where the files go.
        dev: What NNCF's accuracy control judges by; None leaves that out.
    """
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


def scores_of(files: list[File], splits: Mapping[str, HeldOut]) -> dict[str, dict[str, Any]]:
    """Returns each file's scores by split, and its differences from the fp32 file on the same examples."""
    found: dict[str, dict[str, Any]] = {file.title: {} for file in files}
    for name, split in splits.items():
        statistics = {}
        for file in files:
            statistics[file.title] = split.statistics(file.runtime, file.path)
            print(f"{name}: {file.title} {split.score(statistics[file.title])['accuracy'][0]:.4f}", flush=True)
        for title, made in statistics.items():
            found[title][name] = {**split.score(made), "against_fp32": split.difference(made, statistics[FP32])}
    return found


def bench(files: list[File], length: int, threads: int, seconds: float) -> dict[str, Measurement]:
    """Returns a measurement a file by title, of one session in which all take turns."""
    timed = [file for file in files if file.timed]
    cases = [Case(file.title, "int8", file.path, file.scheme, file.runtime, threads, length) for file in timed]
    made = run_bench(cases, None, BenchSettings(max_seconds=seconds), TerminalProgress()).complete()
    return {one.name: one for one in made}


def times_of(measured: Mapping[str, Measurement]) -> dict[str, dict[str, Any]]:
    """Returns p50 in ms and the speed against the fp32 file in ONNX Runtime."""
    found = {}
    for title, one in measured.items():
        ratio = speedup(one, measured[FP32])
        assert one.p50_ms is not None  # noqa: S101 - measured here
        found[title] = {
            "p50_ms": [one.p50_ms.value, one.p50_ms.low, one.p50_ms.high],
            "speed": [ratio.value, ratio.low, ratio.high],
            "peak_mb": one.peak_memory_mb,
            "busy": one.conditions.busy_before,
        }
        print(f"{title}: {ratio.value:.2f}x", flush=True)
    return found


def measure(recipe: Path, ask: argparse.Namespace) -> Path:
    """Makes what is missing, measures, and writes the result; returns its file."""
    name = f"{load_recipe(recipe).name}{'-dense' if ask.dense else ''}"
    keys = [f"export.formats={json.dumps(MADE)}", f"name={name}-int8", *(["prune=null"] if ask.dense else [])]
    plan = plan_recipe(load_recipe(recipe, keys + ask.overrides), Workspace.of_recipe(recipe), until="export")
    outcome = run_plan(plan, TerminalProgress())
    assert outcome.published is not None  # noqa: S101 - a plan to export publishes
    bundle = outcome.published.bundle
    data = outcome.finished.get("vocabulary", outcome.finished["data"]).folder
    splits = {
        split: HeldOut.open(data / split, plan.build.recipe.task, bundle.manifest.labels) for split in ("dev", "test")
    }
    files = own_files({name: bundle.path(name) for name in bundle.formats if name != "pytorch"})
    files += peer_files(
        bundle.path("onnx-fp32"),
        bundle.path("tflite-fp32"),
        bundle.folder / "config.json",
        calibration_rows(plan.build, Quantise(), data),
        plan.build.workspace.run_folder(f"{name}-int8") / "peers",
        splits["dev"] if splits["dev"].tokens.kind in ("class", "value") else None,
    )
    path = RESULTS / f"{name}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    before = {row["title"]: row for row in record.get("rows", [])}
    scores = {} if ask.times_only else scores_of(files, splits)
    length = plan.build.recipe.bench.sequence_length
    times = {} if ask.scores_only else times_of(bench(files, length, ask.threads, ask.seconds))
    record = {
        **record,
        **_facts(recipe, ask),
        **({} if ask.scores_only else {"threads": ask.threads, "tokens": length}),
        "left_out": outcome.finished["export"].summary.get("left_out", {}),
        "rows": [
            {
                **before.get(file.title, {}),
                "title": file.title,
                "by": file.by,
                "scheme": file.scheme,
                "runtime": file.runtime,
                "bytes": file.bytes,
                **scores.get(file.title, {}),
                **times.get(file.title, {}),
            }
            for file in files
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def _facts(recipe: Path, ask: argparse.Namespace) -> dict[str, Any]:
    facts = local_facts()
    return {
        "command": f"python benchmarks/int8.py {recipe}{' --dense' if ask.dense else ''}",
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "machine": f"{facts.cores} cores of {facts.cpu}, {facts.memory_mb / 1000:.0f} GB",
        "versions": package_versions() | peer_versions(),
    }


def peer_versions() -> dict[str, str]:
    """Returns the versions of what is compared with."""
    import importlib.metadata

    return {name: importlib.metadata.version(name) for name in ("openvino", "nncf", "optimum")}


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--dense", action="store_true", help="the student before pruning")
    parser.add_argument("--scores-only", action="store_true")
    parser.add_argument("--times-only", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0, help="most timed seconds a file")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    print(measure((ask := parser.parse_args()).recipe, ask), file=sys.stderr)


if __name__ == "__main__":
    main()
