"""The project's promises, computed from committed results: `python benchmarks/claims.py` writes them.

Writes `claims.json` and the README's generated tables. A test computes everything again and compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedistil.bench.measurement import Measurement, find, read_measurements, speedup
from edgedistil.report.claims import Claim, markdown_table
from edgedistil.report.table import make_rows, render_markdown

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
CLAIMS = ROOT / "benchmarks" / "claims.json"
README = ROOT / "README.md"


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % interval, where it has one."""

    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Promise:
    """A claim before it is measured; its fields are those of `Claim`."""

    id: str
    claim: str
    bar: str
    unit: str
    run: str
    file: str
    compute: Callable[[Path], Figure]


def _measurement(folder: Path, name: str) -> Measurement:
    made = find(read_measurements(folder / "measurements.jsonl"), name)
    if made is None:
        raise SystemExit(f"{folder}: no row '{name}'")
    return made


def _run(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return record


def speed(name: str) -> Callable[[Path], Figure]:
    """Returns the speed of a row against the teacher's, in one interleaved session."""

    def compute(folder: Path) -> Figure:
        ratio = speedup(_measurement(folder, name), _measurement(folder, "teacher, ONNX fp32"))
        return Figure(ratio.value, (ratio.low, ratio.high))

    return compute


def size_share(name: str, of: str) -> Callable[[Path], Figure]:
    """Returns a row's file size as a percentage of another's."""
    return lambda folder: Figure(100 * _measurement(folder, name).bytes / _measurement(folder, of).bytes)


def test_loss(name: str) -> Callable[[Path], Figure]:
    """Returns the points of test accuracy that a row is below the teacher, on the same examples."""

    def compute(folder: Path) -> Figure:
        row = next(row for row in _run(folder)["test"] if row["name"] == name)["against_teacher"]
        return Figure(-100 * row["difference"], (-100 * row["high"], -100 * row["low"]))

    return compute


def test_loss_from(name: str, of: str) -> Callable[[Path], Figure]:
    """Returns the points of test accuracy that a row is below another one."""

    def compute(folder: Path) -> Figure:
        rows = {row["name"]: row["accuracy"][0] for row in _run(folder)["test"]}
        return Figure(100 * (rows[of] - rows[name]))

    return compute


def minutes(folder: Path) -> Figure:
    """Returns the time of all stages together."""
    return Figure(sum(stage["seconds"] for stage in _run(folder)["stages"]) / 60)


def stage_value(stage: str, key: str, factor: float = 1.0) -> Callable[[Path], Figure]:
    """Returns a number from a stage's summary."""

    def compute(folder: Path) -> Figure:
        summaries = {made["name"]: made["summary"] for made in _run(folder)["stages"]}
        return Figure(factor * summaries[stage][key])

    return compute


_TEACHER = "teacher, ONNX fp32"
PROMISES = [
    Promise(
        "chain.quickstart-time",
        "The quickstart, from a BERT wheel to a measured bundle, on 2 cores",
        "<= 10.0",
        "min",
        "quickstart",
        "run.json",
        minutes,
    ),
    Promise(
        "chain.quickstart-speed-tflite",
        "The quickstart's TFLite int8 file against its teacher in ONNX Runtime fp32",
        ">= 8.0",
        "times faster",
        "quickstart",
        "measurements.jsonl",
        speed("pruned, TFLite int8"),
    ),
    Promise(
        "chain.quickstart-speed-onnx",
        "The quickstart's ONNX int8 file against its teacher in ONNX Runtime fp32",
        ">= 5.0",
        "times faster",
        "quickstart",
        "measurements.jsonl",
        speed("pruned, ONNX int8"),
    ),
    Promise(
        "chain.quickstart-accuracy",
        "The quickstart's TFLite int8 file below its teacher, test split",
        "<= 2.5",
        "points",
        "quickstart",
        "run.json",
        test_loss("pruned, TFLite int8"),
    ),
    Promise(
        "chain.sst2-accuracy",
        "SST-2, 12 layers to 6 with half of their blocks removed, int8 TFLite, below the teacher, test split",
        "<= 2.0",
        "points",
        "sst2",
        "run.json",
        test_loss("pruned, TFLite int8"),
    ),
    Promise(
        "chain.sst2-speed",
        "The same file against its 12-layer teacher in ONNX Runtime fp32",
        ">= 8.0",
        "times faster",
        "sst2",
        "measurements.jsonl",
        speed("pruned, TFLite int8"),
    ),
    Promise(
        "int8.sst2-onnx-loss",
        "SST-2, ONNX int8 below the same model in fp32, test split",
        "<= 0.4",
        "points",
        "sst2",
        "run.json",
        test_loss_from("pruned, ONNX int8", "pruned, ONNX fp32"),
    ),
    Promise(
        "int8.sst2-tflite-loss",
        "SST-2, TFLite int8 below the same model in fp32, test split",
        "<= 0.4",
        "points",
        "sst2",
        "run.json",
        test_loss_from("pruned, TFLite int8", "pruned, TFLite fp32"),
    ),
    Promise(
        "int8.sst2-size",
        "SST-2, ONNX int8 file's share of the fp32 one",
        "<= 27.0",
        "%",
        "sst2",
        "measurements.jsonl",
        size_share("pruned, ONNX int8", "pruned, ONNX fp32"),
    ),
]


def compute_claims() -> list[Claim]:
    """Returns every claim, its figure computed from the committed results."""
    claims = []
    for promise in PROMISES:
        folder = RESULTS / promise.run
        run, figure = _run(folder), promise.compute(folder)
        fields = {
            "id": promise.id,
            "claim": promise.claim,
            "bar": promise.bar,
            "measured": round(figure.value, 4),
            "interval": [round(end, 4) for end in figure.interval] if figure.interval else None,
            "unit": promise.unit,
            "holds": _reaches(promise.bar, round(figure.value, 4)),
            "result": f"{promise.run}/{promise.file}",
            "command": f"{run['command']} && python benchmarks/collect.py export/{promise.run}.yaml {promise.run}",
            "versions": run["versions"],
            "date": run["date"],
            "machine": run["machine"],
        }
        claims.append(Claim.model_validate_json(json.dumps(fields)))
    return claims


def _reaches(bar: str, value: float) -> bool:
    sign, bound = bar.split(" ")
    return value >= float(bound) if sign == ">=" else value <= float(bound)


def tables() -> dict[str, str]:
    """Returns the README's generated blocks, by name."""
    return {
        "quickstart": render_markdown(make_rows(read_measurements(RESULTS / "quickstart" / "measurements.jsonl"))),
        "sst2": render_markdown(make_rows(read_measurements(RESULTS / "sst2" / "measurements.jsonl"))),
        "claims": markdown_table(compute_claims()),
    }


def with_tables(text: str) -> str:
    """Returns the README with its generated blocks made anew."""
    for name, table in tables().items():
        pattern = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"README.md has no block '{name}'")
        text = pattern.sub(lambda match, table=table: f"{match[1]}{table.strip()}\n{match[2]}", text)
    return text


if __name__ == "__main__":
    lines = [claim.model_dump(mode="json") for claim in compute_claims()]
    CLAIMS.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
    for claim in compute_claims():
        print(f"{'holds ' if claim.holds else 'MISSES'} {claim.id}: {claim.measured} {claim.unit} (bar {claim.bar})")
